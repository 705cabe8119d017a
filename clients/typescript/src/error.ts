/** Why a live query is not live, or a call has failed. `code` is an SQLSTATE, where the server said it. */
export class LiveError extends Error {
  readonly code: string | undefined;
  readonly detail: string | undefined;
  readonly hint: string | undefined;

  constructor(message: string, more: { code?: string; detail?: string; hint?: string; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'LiveError';
    this.code = more.code;
    this.detail = more.detail;
    this.hint = more.hint;
  }
}
