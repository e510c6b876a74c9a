/** What the regeneration reads, told apart, and what of it may enter. */
import { BadRecordError } from '../errors.ts';
import type { LongTermProfile, ProfileKind, ShortTermProfile } from '../profile/records.ts';
import type { BehaviorEvent } from '../shop/behaviour.ts';
import type { ErasureRequest } from '../shop/users.ts';
import type { ChannelTrigger, RetrievedItems } from './records.ts';

/** A profile that is no longer there. */
export interface GoneProfile {
  user_id: string;
  gone: ProfileKind;
}

export type Profile = ShortTermProfile | LongTermProfile;
export type Incoming = BehaviorEvent | Profile | GoneProfile | ChannelTrigger | RetrievedItems | ErasureRequest;

export const isEvent = (value: Incoming): value is BehaviorEvent => 'event_type' in value;
export const isAnswer = (value: Incoming): value is RetrievedItems => 'outcome' in value;
export const isProfile = (value: Incoming): value is Profile => 'refreshed_at' in value;
export const isGone = (value: Incoming): value is GoneProfile => 'gone' in value;
export const isTrigger = (value: Incoming): value is ChannelTrigger => 'arm' in value;

export const kindOf = (profile: Profile): ProfileKind => ('static_profile' in profile ? 'short_term' : 'long_term');

/** Event time; of a profile that is gone none, since nobody says when it went. */
export const timeOfProfile = (profile: Profile | GoneProfile): number => (isGone(profile) ? 0 : profile.refreshed_at);

/** Throws BadRecordError: EMPTY_ID, KEY_MISMATCH, BAD_TIME, FUTURE_EVENT. */
export function checkProfile(profile: Profile | GoneProfile, key: string, now: number, toleranceMs: number): void {
  checkUser(profile.user_id, key);
  checkTime(timeOfProfile(profile), now + toleranceMs);
}

/** Throws BadRecordError: EMPTY_ID, KEY_MISMATCH, BAD_TIME, FUTURE_EVENT. */
export function checkTrigger({ user_id, requested_at }: ChannelTrigger, key: string, now: number, toleranceMs: number) {
  checkUser(user_id, key);
  checkTime(requested_at, now + toleranceMs);
}

function checkUser(user: string, key: string): void {
  if (user === '') throw new BadRecordError('EMPTY_ID', 'user_id is empty');
  if (key !== user) throw new BadRecordError('KEY_MISMATCH', 'the record key is not its user_id');
}

/** It moves the job's time on: what is in the future would take all timers with it. */
function checkTime(time: number, most: number): void {
  if (!Number.isSafeInteger(time) || time < 0) throw new BadRecordError('BAD_TIME', `${time} is not a time`);
  if (time > most) throw new BadRecordError('FUTURE_EVENT', `its time ${time} is ahead of the clock`);
}
