// Security types that a target has offered and that then did not work, and what to try in their place.
// What always holds: a type that was tried and did not work is not tried again on the same console.
import { GatewayError } from '../errors.js';

/** A type of the target's own list, or of the one that VeNCrypt has inside. */
export interface OfferedType {
  readonly list: 'rfb' | 'vencrypt';
  readonly number: number;
}

export class UnusableTypes {
  private readonly numbers = { rfb: new Set<number>(), vencrypt: new Set<number>() };

  add({ list, number }: OfferedType): void {
    this.numbers[list].add(number);
  }

  /** What is left of a list. */
  without(list: OfferedType['list'], offered: readonly number[]): number[] {
    return offered.filter((number) => !this.numbers[list].has(number));
  }
}

/** A type does not work, and the target has offered another one that fits. A new connection is needed for it. */
export class TypeUnusable extends Error {
  override readonly name = 'TypeUnusable';
  readonly type: OfferedType;
  /** What is to be told where nothing else is tried. */
  readonly reason: GatewayError;

  constructor(type: OfferedType, reason: GatewayError) {
    super(reason.detail);
    this.type = type;
    this.reason = reason;
  }
}

/**
 * A step that only an offered type has.
 * @param hasNext whether another type could be taken in its place
 * @throws TypeUnusable in the place of a GatewayError, where there is another; what the step throws otherwise
 */
export async function orTheNext<T>(type: OfferedType, hasNext: boolean, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (!hasNext || !(error instanceof GatewayError)) throw error;
    throw new TypeUnusable(type, error);
  }
}
