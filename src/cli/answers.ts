/** Answers of profile workers as JSON lines: vectors in base64, all else as in the schema. */
import { SeralError } from '../errors.ts';
import type { ProfileProposals } from '../profile/records.ts';

export const answerToJson = (answer: ProfileProposals): unknown => ({
  ...answer,
  proposals: answer.proposals.map(({ embedding, ...rest }) => ({
    ...rest,
    embedding: embedding === null ? null : embedding.toString('base64'),
  })),
});

/** Throws SeralError BAD_ANSWERS that names the place. */
export function answerFromJson(json: unknown, where: string): ProfileProposals {
  const answer = json as ProfileProposals | undefined;
  if (typeof answer?.request_id !== 'string' || !Array.isArray(answer.proposals)) {
    throw new SeralError('BAD_ANSWERS', `${where} is no recorded answer of a profile worker`);
  }
  return {
    ...answer,
    proposals: answer.proposals.map((proposal) => ({
      ...proposal,
      embedding:
        typeof proposal.embedding === 'string' ? Buffer.from(proposal.embedding as unknown as string, 'base64') : null,
    })),
  };
}
