import type { BrokerDescription, TopicDescription } from '../../log/port.ts';
import type { Config } from '../config.ts';
import { inWords, nameOf } from '../transactions.ts';
import { formatSize, humanCount, humanDuration } from '../units.ts';
import { known, type Answer, type GroupFacts, type LogFacts, type TopicFacts } from './facts.ts';
import { Area } from './findings.ts';

/** Skew that a label can notice: an event's day, its window and `futureTolerance` are told by clocks. */
const SKEW_WARNING_MS = 1_000;
const SKEW_ERROR_MS = 60_000;
const DAY = 86_400_000;
/** What a batch is around its one largest record: header, key, headers. */
const BATCH_ROOM = 4_096;
/** Kafka's adapter fills batches up to here. */
const BATCH_BYTES = 900_000;

export function judgeLog(log: Answer<LogFacts>, config: Config): Area[] {
  if (!known(log)) return [unreachable(log, config)];
  const { brokers, clock, topics, transactions, groups, deadLetters } = log.value;
  return [
    judgeBrokers(brokers, clock, config),
    judgeTopics(topics, known(brokers) ? brokers.value.length : 1, config),
    judgeTransactions(transactions),
    judgeGroups(groups, config),
    judgeDeadLetters(deadLetters),
  ];
}

function unreachable({ code, problem }: { code: string; problem: string }, { log, kafka, embedded }: Config): Area {
  const area = new Area('log');
  if (log.kind === 'embedded') {
    if (code === 'NO_LOG_YET') area.note(code, problem, 'seral topics apply makes it');
    else if (code === 'STORE_LOCKED') area.note(code, problem, 'it runs, it seems; stop it for a look inside');
    else area.error(code, problem, `see to the folder ${embedded.path} (embedded.path)`);
    return area;
  }
  const addresses = kafka.brokers.join(', ');
  const todo =
    code === 'LOG_REFUSED'
      ? 'see kafka.ssl and kafka.sasl, what this user may do, and that the brokers are of Kafka 2.5 or later'
      : `see that a broker runs and can be reached at ${addresses} (kafka.brokers), also by the name that it gives itself`;
  area.error(code === 'NO_ANSWER' ? 'LOG_UNAVAILABLE' : code, problem, todo);
  return area;
}

/** The question failed: what it was about is not known to be right. */
function unanswered(area: Area, about: string, { code, problem }: { code: string; problem: string }): void {
  if (code === 'LOG_UNSUPPORTED') area.note('NOT_CHECKED', `${about} cannot be told: ${problem}`);
  else if (code === 'LOG_REFUSED') {
    area.warning('NOT_CHECKED', `${about} cannot be told: ${problem}`, 'let this user describe it');
  } else area.error('NO_ANSWER', `${about} cannot be told: ${problem}`, 'see the brokers, then ask again');
}

function judgeBrokers(brokers: LogFacts['brokers'], clock: LogFacts['clock'], config: Config): Area {
  const area = new Area('brokers');
  if (!known(brokers)) unanswered(area, 'which brokers there are', brokers);
  else {
    for (const { id, address, problem } of brokers.value) {
      if (problem === null) continue;
      area.error('BROKER_UNREACHABLE', `broker ${id} (${address}): ${problem}`, 'see that it runs, and can be reached');
    }
    const right = brokers.value.filter(({ problem }) => problem === null);
    if (right.length > 0) area.ok('BROKERS', `${right.map(({ address }) => address).join(', ')}`);
    judgeSettings(area, right, config);
  }
  if (!known(clock)) unanswered(area, "the log's clock", clock);
  else if (clock.value !== null) judgeClock(area, clock.value);
  return area;
}

function judgeSettings(area: Area, brokers: readonly BrokerDescription[], { runtime }: Config): void {
  const least = (name: string): number | null => {
    const values = brokers.flatMap(({ config }) => (config[name] === undefined ? [] : [Number(config[name])]));
    return values.length === 0 ? null : Math.min(...values);
  };
  const longest = least('transaction.max.timeout.ms');
  if (longest !== null && runtime.transactionTimeout > longest) {
    area.error(
      'TRANSACTION_TIMEOUT_REFUSED',
      `runtime.transactionTimeout is ${humanDuration(runtime.transactionTimeout)}, the brokers allow ${humanDuration(longest)}`,
      'lower it, or raise transaction.max.timeout.ms: no task can start',
    );
  }
  const shortest = least('group.min.session.timeout.ms');
  const most = least('group.max.session.timeout.ms');
  if ((shortest !== null && runtime.sessionTimeout < shortest) || (most !== null && runtime.sessionTimeout > most)) {
    area.error(
      'SESSION_TIMEOUT_REFUSED',
      `runtime.sessionTimeout is ${humanDuration(runtime.sessionTimeout)}, the brokers allow ${humanDuration(shortest ?? 0)} to ${humanDuration(most ?? 0)}`,
      'bring it within: no worker can join its group',
    );
  }
  const minutes = least('offsets.retention.minutes');
  if (minutes === null) return;
  const kept = humanDuration(minutes * 60_000);
  if (minutes * 60_000 < DAY) {
    const todo = 'raise offsets.retention.minutes: a job that stands longer starts from runtime.offsetReset';
    area.warning('POSITIONS_KEPT_SHORT', `positions of a group without members are kept for ${kept}`, todo);
  } else area.ok('POSITIONS_KEPT', `positions of a group without members are kept for ${kept}`);
}

function judgeClock(area: Area, { aheadMs, withinMs }: { aheadMs: number; withinMs: number }): void {
  // what the answer's way may explain is no skew
  const certain = Math.max(Math.abs(aheadMs) - withinMs, 0);
  const what = `the controllers' clock is ${humanDuration(Math.abs(aheadMs))} ${aheadMs < 0 ? 'behind' : 'ahead of'} this one, give or take ${humanDuration(withinMs)}`;
  const todo = 'let both keep time by NTP: days, windows and retention are told by these clocks';
  if (certain > SKEW_ERROR_MS) area.error('CLOCK_SKEW', what, todo);
  else if (certain > SKEW_WARNING_MS) area.warning('CLOCK_SKEW', what, todo);
  else area.ok('CLOCK', what);
}

function judgeTopics(topics: LogFacts['topics'], brokers: number, config: Config): Area {
  const area = new Area('topics');
  if (!known(topics)) {
    unanswered(area, 'what topics there are', topics);
    return area;
  }
  const missing = topics.value.filter(({ action }) => action === 'create').map(({ spec }) => spec.topic);
  if (missing.length > 0) area.error('MISSING_TOPICS', `not there: ${missing.join(', ')}`, 'seral topics apply');
  const thin: string[] = [];
  for (const topic of topics.value) {
    judgePlan(area, topic);
    if (topic.found === null) continue;
    judgeCopies(area, topic.found);
    judgeBatches(area, topic.found, config);
    if (topic.found.copies?.some(({ replicas }) => replicas < 2) === true) thin.push(topic.spec.topic);
  }
  if (thin.length > 0 && config.log.kind === 'kafka') {
    const what = `${humanCount(thin.length)} topics have one copy: ${shortened(thin)}`;
    if (brokers > 1) area.warning('ONE_COPY', what, 'reassign them to more brokers: with its broker each one is lost');
    else area.note('ONE_COPY', what, 'there is one broker: enough for a trial, not for data that must last');
  }
  const there = topics.value.length - missing.length;
  if (area.findings.every(({ severity }) => severity === 'note')) area.ok('TOPICS', `${there} topics, as planned`);
  return area;
}

function judgePlan(area: Area, { spec, action, notes, found, isSource }: TopicFacts): void {
  if (action === 'refuse') {
    const todo =
      'set topics.partitions to what is there, or start a new application: users would be torn from their state';
    area.error('PARTITIONS_DIFFER', `${spec.topic} ${notes.join('; ')}`, todo);
  } else if (action === 'change') {
    area.warning('TOPIC_DIFFERS', `${spec.topic}: ${notes.join('; ')}`, 'seral topics apply');
  } else if (action === 'keep' && isSource && found?.config['cleanup.policy']?.includes('compact') === true) {
    const todo = 'set cleanup.policy to delete: compaction keeps a user the last event alone';
    area.error('SOURCE_COMPACTED', `${spec.topic} is compacted`, todo);
  } else if (action === 'keep' && notes.length > 0) area.note('TOPIC_NOTE', `${spec.topic}: ${notes.join('; ')}`);
}

function judgeCopies(area: Area, { topic, config, copies = [] }: TopicDescription): void {
  const least = Number(config['min.insync.replicas'] ?? 1);
  const places = (wrong: (one: (typeof copies)[number]) => boolean): string =>
    copies.flatMap((one, partition) => (wrong(one) ? [partition] : [])).join(', ');
  const headless = places(({ hasLeader }) => !hasLeader);
  if (headless !== '') {
    const todo = 'bring its brokers back: nothing is read or written there';
    area.error('NO_LEADER', `${topic}: no leader for partition ${headless}`, todo);
  }
  const few = places(({ hasLeader, inSync }) => hasLeader && inSync < least);
  if (few !== '') {
    const what = `${topic}: fewer than ${least} copies (min.insync.replicas) are up to date of partition ${few}`;
    area.error('NOT_ENOUGH_REPLICAS', what, 'bring the brokers back, or lower the setting: writes are refused');
  }
  const behind = places(({ hasLeader, inSync, replicas }) => hasLeader && inSync >= least && inSync < replicas);
  if (behind !== '') {
    area.warning('COPIES_BEHIND', `${topic}: copies of partition ${behind} are not up to date`, 'see the brokers');
  }
  if (copies.some(({ replicas }) => replicas > 2) && least < 2) {
    const todo = 'set min.insync.replicas to 2: what one broker alone has taken is lost with it';
    area.warning('ONE_COPY_IS_ENOUGH', `${topic}: min.insync.replicas is ${least}`, todo);
  }
}

function judgeBatches(area: Area, { topic, config }: TopicDescription, { runtime }: Config): void {
  const taken = Number(config['max.message.bytes'] ?? Infinity);
  const needed = Math.max(runtime.largestOutput + BATCH_ROOM, BATCH_BYTES);
  if (taken >= needed) return;
  const what = `${topic} takes batches of ${formatSize(taken)} (max.message.bytes), we write up to ${formatSize(needed)}`;
  area.warning('BATCHES_TOO_LARGE', what, 'raise it, or lower runtime.largestOutput: a larger record stops its task');
}

function judgeTransactions(transactions: LogFacts['transactions']): Area {
  const area = new Area('transactions');
  if (!known(transactions)) {
    unanswered(area, 'what transactions there are', transactions);
    return area;
  }
  const hanging = transactions.value.filter((row) => row.hanging !== null);
  for (const row of hanging) {
    const held = row.held.length === 0 ? '' : `; readers stop at ${row.held.map(inWords).join(', ')}`;
    const todo =
      row.hanging === 'undelivered'
        ? 'see the brokers that lead its partitions'
        : `seral transactions abort ${nameOf(row)}`;
    area.error('TRANSACTION_HANGS', `${nameOf(row)} is ${row.hanging}${held}`, todo);
  }
  const open = transactions.value.filter(({ phase }) => phase === 'Ongoing').length;
  if (hanging.length === 0) {
    area.ok('TRANSACTIONS', `${transactions.value.length} transactional ids, ${open} with one open, none hangs`);
  }
  return area;
}

function judgeGroups(groups: LogFacts['groups'], config: Config): Area {
  const area = new Area('consumer groups');
  for (const group of groups) {
    if (known(group)) judgeGroup(area, group.value, config);
    else unanswered(area, 'the state of a group', group);
  }
  return area;
}

function judgeGroup(area: Area, facts: GroupFacts, { runtime }: Config): void {
  const { job, description, partitions } = facts;
  const { state, members } = description;
  const lagOf = ({ start, end, committed }: (typeof partitions)[number]) =>
    Math.max(end - Math.max(committed ?? start, start), 0);
  const lag = partitions.reduce((sum, one) => sum + lagOf(one), 0);
  const most = partitions.reduce((a, b) => (lagOf(b) > lagOf(a) ? b : a), partitions[0]!);
  const behind =
    lag === 0
      ? 'no lag'
      : `${humanCount(lag)} behind, most on ${most.topic}/${most.partition} (${humanCount(lagOf(most))})`;
  const group = `${job.name}: group ${job.group}`;
  if (state === 'Dead') {
    const what = `${group} has never run; ${behind}`;
    // a log may be there long before a topology; requests are there only where one runs that wants them answered
    if (job.kind === 'worker' && lag > 0) area.warning('NEVER_RAN', what, job.start);
    else area.note('NEVER_RAN', what, job.start);
  } else if (state === 'Empty') {
    const what = `${group} has no members; ${behind}`;
    if (lag > 0) area.warning('NOT_RUNNING', what, job.start);
    else area.note('NOT_RUNNING', what);
  } else if (state !== 'Stable') {
    area.warning('REBALANCING', `${group} is ${state}; ${behind}`, 'ask again; if it stays so, see the workers');
  } else area.ok('GROUP', `${job.name}: ${members.length} member${members.length === 1 ? '' : 's'}; ${behind}`);
  judgePositions(area, facts, runtime);
}

function judgePositions(area: Area, { job, partitions }: GroupFacts, { offsetReset }: Config['runtime']): void {
  const at = ({ topic, partition }: { topic: string; partition: number }) => `${topic}/${partition}`;
  const misplaced = (code: string, what: string, todo: string): void => {
    if (job.kind === 'topology') area.error(code, what, todo);
    else if (offsetReset === 'error') area.error(code, what, 'it stops there: set runtime.offsetReset to earliest');
    else area.warning(code, what, `it goes on at the ${offsetReset}; what is not answered is asked for anew`);
  };
  for (const one of partitions) {
    if (one.committed === null) continue;
    if (one.committed < one.start) {
      const what = `${job.name}: ${at(one)} is kept from ${one.start} on, the group stands at ${one.committed}: ${one.start - one.committed} offsets are lost`;
      const todo =
        offsetReset === 'error'
          ? 'its task will stop (runtime.offsetReset is error); replay the gap from elsewhere, or set earliest'
          : `its task goes on at the ${offsetReset}; lengthen the topic's retention, and replay the gap from elsewhere`;
      misplaced('POSITION_NOT_KEPT', what, todo);
    } else if (one.committed > one.end) {
      const what = `${job.name}: the group stands at ${one.committed} of ${at(one)}, which ends at ${one.end}`;
      misplaced('POSITION_PAST_END', what, 'the topic was made anew: start a new application, or restore the topic');
    }
  }
  const started = partitions.some(({ committed }) => committed !== null);
  const fresh = partitions.filter(({ committed, start, end }) => committed === null && end > start);
  if (started && fresh.length > 0) {
    const what = `${job.name}: no position for ${fresh.map(at).join(', ')}, though others have one`;
    area.warning('NO_POSITION', what, `its task begins at the ${offsetReset} (runtime.offsetReset)`);
  }
}

function judgeDeadLetters(deadLetters: LogFacts['deadLetters']): Area {
  const area = new Area('dead letters');
  for (const letters of deadLetters) {
    if (!known(letters)) {
      unanswered(area, 'what dead letters there are', letters);
      continue;
    }
    const { job, kept, lastHour, lastDay } = letters.value;
    const what = `${job.deadLetters}: ${humanCount(kept)} kept, ${humanCount(lastDay)} of the last day, ${humanCount(lastHour)} of the last hour`;
    if (lastDay > 0)
      area.warning('DEAD_LETTERS', what, `seral dlq list ${job.name} says why; seral dlq replay brings them back`);
    else area.ok('DEAD_LETTERS', what);
  }
  return area;
}

const shortened = (names: readonly string[]): string =>
  names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
