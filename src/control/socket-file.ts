// The file of the control socket: its folder, and how a server comes to listen there and leaves again.
// What always holds: nobody but the service's own user (and root) can connect, from the socket's first moment on; a
// file that a running service answers on, or that is no socket, is left alone.
import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { MAX_SOCKET_PATH_BYTES } from '../config/types.js';
import { causeOf, StartError } from '../errors.js';

const FOLDER_MODE = 0o700;
/** What is left is 0600. */
const SOCKET_UMASK = 0o177;
const OTHERS_WRITE = 0o022;

/** The place of the socket cannot be used; nobody has been there before. */
export class PlaceError extends StartError {}

/**
 * Makes a server listen on a Unix socket.
 * @returns removes the file, unless it is somebody else's by then
 * @throws PlaceError naming `control_socket`; StartError where a service answers on it already
 */
export async function listenPrivately(server: Server, path: string): Promise<() => void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new PlaceError(`control_socket: ${path} is longer than ${MAX_SOCKET_PATH_BYTES} bytes`);
  }
  prepareFolder(dirname(path));
  const present = lookAt(path);
  if (present !== undefined && !present.isSocket()) {
    throw new PlaceError(`control_socket: ${path} is there already, and no socket`);
  }
  if (present !== undefined && (await isAnswered(path))) {
    throw new StartError(`control_socket: another service answers on ${path}`);
  }
  try {
    const inode = await bind(server, path);
    return () => {
      if (lookAt(path)?.ino === inode) rmSync(path, { force: true });
    };
  } catch (error) {
    throw new PlaceError(`control_socket: cannot listen on ${path}: ${causeOf(error)}`);
  }
}

/** Makes the folder where it is missing, and looks whose it is. @throws PlaceError */
function prepareFolder(folder: string): void {
  try {
    // Again, for the umask may have taken something of the mode.
    if (mkdirSync(folder, { recursive: true, mode: FOLDER_MODE }) !== undefined)
      chmodSync(folder, FOLDER_MODE);
  } catch (error) {
    throw new PlaceError(`control_socket: the folder ${folder} cannot be made: ${causeOf(error)}`);
  }
  const { uid, mode } = lookAt(folder) ?? {};
  if (uid !== process.getuid?.()) {
    throw new PlaceError(`control_socket: the folder ${folder} belongs to another user`);
  }
  if (((mode ?? OTHERS_WRITE) & OTHERS_WRITE) !== 0) {
    throw new PlaceError(`control_socket: others may write to the folder ${folder}`);
  }
}

/** @returns the inode of the socket */
async function bind(server: Server, path: string): Promise<number | undefined> {
  // Renamed when it is complete: one name is there all the time, and what the server removes of itself when it
  // closes is never another service's file.
  const unfinished = `${path}.new`;
  rmSync(unfinished, { force: true });
  const umask = process.umask(SOCKET_UMASK);
  const listening = new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', resolve);
  });
  try {
    // Binds before it returns.
    server.listen({ path: unfinished });
  } finally {
    process.umask(umask);
  }
  await listening;
  renameSync(unfinished, path);
  return lookAt(path)?.ino;
}

/** Whether somebody takes connections on a socket; a file of a service that is gone refuses them. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(causeOf(error))));
  });
}

/** The file itself, not what a symbolic link names. @throws PlaceError */
function lookAt(path: string) {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw new PlaceError(`control_socket: ${path} cannot be looked at: ${causeOf(error)}`);
  }
}
