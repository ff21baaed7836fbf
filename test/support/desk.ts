// A VM at which somebody sits: Xtigervnc with a terminal that records what is typed into it, and a window whose text
// can be copied. What is done inside of the VM is done by xdotool.
import { runWell, startChild } from './child.ts';
import { startTigervnc, type Tigervnc, type TigervncOptions } from './tigervnc.ts';
import { waitFor } from './wait.ts';

export interface Desk {
  vnc: Tigervnc;
  /** The text that stands in the window. */
  text: string;
  /** Copies it inside of the VM. */
  copy(): Promise<void>;
  /** Pastes inside of the VM into the terminal that records. */
  paste(): Promise<void>;
  /** The pointer goes to that terminal, and with it the focus. */
  point(): Promise<void>;
}

export async function startDesk(options: Omit<TigervncOptions, 'keyboard'> = {}): Promise<Desk> {
  const text = 'FromTheVm';
  const vnc = await startTigervnc({ ...options, keyboard: true });
  const env = { DISPLAY: vnc.display };
  const show = ['sh', '-c', `printf ${text}; exec sleep 3600`];
  await startChild('xterm', ['-geometry', '20x3+0+400', '-e', ...show], { env });
  const xdotool = async (...args: string[]) => void (await runWell('xdotool', args, { env }));
  const windows = async () => (await runWell('xdotool', ['search', '--class', 'xterm'], { env })).trim();
  await waitFor(async () => (await windows()).includes('\n'), { what: 'both terminals' });
  return {
    vnc,
    text,
    copy: () => xdotool('mousemove', '25', '408', 'click', '--repeat', '2', '--delay', '30', '1'),
    paste: () => xdotool('mousemove', '60', '60', 'click', '2'),
    point: () => xdotool('mousemove', '60', '60'),
  };
}
