import { describe, expect, it } from 'vitest';
import { murmur2, partitionOf } from '../../src/log/murmur2.ts';

// org.apache.kafka.common.utils.UtilsTest.testMurmur2
const vectors: [string, number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
];

describe('murmur2', () => {
  it("equals Kafka's own vectors", () => {
    for (const [text, hash] of vectors) expect([text, murmur2(Buffer.from(text))]).toEqual([text, hash]);
  });

  it('takes bytes above 127 as they are, and the empty key', () => {
    // from Utils.murmur2 of kafka-clients 4.1.0
    expect(murmur2(Buffer.alloc(0))).toBe(275646681);
    expect(murmur2(Buffer.from([0xff]))).toBe(-311467685);
    expect(murmur2(Buffer.from([0xff, 0x80, 0xfe, 0x81, 0x90, 0xa0, 0xff]))).toBe(-669054463);
    expect(murmur2(Buffer.from('żółć-ключ-鍵'))).toBe(498960295);
  });
});

describe('partitionOf', () => {
  it('drops the sign, as Utils.toPositive does, and never leaves the range', () => {
    for (const [text, hash] of vectors) {
      expect(partitionOf(Buffer.from(text), 12)).toBe((hash & 0x7fffffff) % 12);
    }
    expect(partitionOf(Buffer.from('21'), 1)).toBe(0);
  });

  it('sends a null key to partition 0', () => {
    expect(partitionOf(null, 12)).toBe(0);
  });
});
