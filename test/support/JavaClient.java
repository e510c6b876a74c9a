import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Kafka's own client, as the reference that ours is held to. Run from source: java -cp libs/* JavaClient.java ... */
public class JavaClient {
  public static void main(String[] args) throws Exception {
    switch (args[0]) {
      case "partitions" -> partitions(Integer.parseInt(args[1]));
      case "produce" -> produce(args[1], args[2], args[3], Integer.parseInt(args[4]));
      case "consume" -> consume(args[1], args[2], Long.parseLong(args[3]));
      default -> throw new IllegalArgumentException(args[0]);
    }
  }

  /** For each base64 key a line of its partition. */
  private static void partitions(int count) throws Exception {
    var lines = new BufferedReader(new InputStreamReader(System.in));
    var out = new StringBuilder();
    for (String line; (line = lines.readLine()) != null; ) {
      out.append(BuiltInPartitioner.partitionForKey(Base64.getDecoder().decode(line), count)).append('\n');
    }
    System.out.print(out);
  }

  /** Writes values 0.. and noise after them, compressed. */
  private static void produce(String brokers, String topic, String codec, int count) throws Exception {
    Map<String, Object> config =
        Map.of("bootstrap.servers", brokers, "compression.type", codec, "linger.ms", 50, "batch.size", 200_000);
    try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
      var random = new Random(1);
      for (int i = 0; i < count; i++) {
        byte[] key = new byte[i % 40];
        random.nextBytes(key);
        byte[] value = (i + ":" + "abc".repeat(i % 300)).getBytes(StandardCharsets.UTF_8);
        producer.send(new ProducerRecord<>(topic, 0, key, value));
      }
      producer.flush();
    }
  }

  /** What a read_committed consumer sees of partition 0 up to a position: offset, key and value in base64. */
  private static void consume(String brokers, String topic, long until) {
    Map<String, Object> config = Map.of("bootstrap.servers", brokers, "isolation.level", "read_committed");
    var partition = new TopicPartition(topic, 0);
    var out = new StringBuilder();
    try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      while (consumer.position(partition) < until) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
          out.append(record.offset()).append(' ').append(base64(record.key())).append(' ').append(base64(record.value()));
          out.append('\n');
        }
      }
    }
    System.out.print(out);
  }

  private static String base64(byte[] bytes) {
    return bytes == null ? "-" : "=" + Base64.getEncoder().encodeToString(bytes);
  }
}
