// The scenes that scripts of VNC servers have in common: greeting, offer and choice of a security type, VeNCrypt.
import { u32 } from './rfb-messages.ts';
import type { Stage } from './rfb-script.ts';

export async function greet({ send, read }: Stage, version = '003.008'): Promise<void> {
  send(`RFB ${version}\n`);
  await read(12);
}

/** Greets and offers these types, up to the client's choice. */
export async function offer(stage: Stage, ...types: number[]): Promise<void> {
  await greet(stage);
  stage.send([types.length, ...types]);
  await stage.read(1);
}

/** Greets and asks for nothing, up to ClientInit. */
export async function askNothing(stage: Stage): Promise<void> {
  await offer(stage, 1);
  stage.send(u32(0));
}

/** Greets and offers VeNCrypt, up to the client's choice of a version. */
export async function beginVencrypt(stage: Stage, ...others: number[]): Promise<void> {
  await offer(stage, 19, ...others);
  stage.send([0, 2]);
  await stage.read(2);
}

/** VeNCrypt with one type, up to the consent to it, which is none with 0. */
export async function vencrypt(stage: Stage, type: number, consent = 1): Promise<void> {
  await beginVencrypt(stage);
  stage.send([0, 1]);
  stage.send(u32(type));
  await stage.read(4);
  stage.send([consent]);
}
