/** Milliseconds for which a connection has to have held, or a refresh to be past, that waits begin again. */
export const STEADY = 10_000;

/** How long to wait before something is tried again, so that many clients do not come at one moment. */
export class Waits {
  private tries = 0;

  constructor(
    private readonly random: () => number,
    private readonly first: number,
    private readonly longest: number,
  ) {}

  /** Milliseconds. */
  next(): number {
    return this.random() * Math.min(this.longest, this.first * 2 ** this.tries++);
  }

  startAgain(): void {
    this.tries = 0;
  }
}
