// VNC_PORTS of oned.conf, as it is shipped and as people write it.
import { expect, it } from 'vitest';
import { parseVncPorts } from '../../src/oned/vnc-ports.ts';

const shipped = `
#  VNC_PORTS: VNC port pool for automatic VNC port assignment, if possible the
PORT = 2633
VNC_PORTS = [
    START    = 5900,
    RESERVED = "32768:65536"
    # RESERVED = "6800, 6801, 6810:6820, 9869"
]
`;

it.each<[string, string, object | undefined]>([
  ['as it is shipped', shipped, { start: 5900, reserved: [[32_768, 65_536]] }],
  ['not there', 'PORT = 2633\n', { start: 5900, reserved: [] }],
  ['in a comment', '# VNC_PORTS = [ START = 1 ]\n', { start: 5900, reserved: [] }],
  [
    'in one line',
    'VNC_PORTS=[START=11000,RESERVED="29876"]',
    { start: 11_000, reserved: [[29_876, 29_876]] },
  ],
  [
    'with several',
    'VNC_PORTS = [ START = "5900", RESERVED = "6800, 6801 ,6810 : 6820,," ]',
    {
      start: 5900,
      reserved: [
        [6800, 6800],
        [6801, 6801],
        [6810, 6820],
      ],
    },
  ],
  ['without START', 'VNC_PORTS = [ RESERVED = "1:2" ]', { start: 5900, reserved: [[1, 2]] }],
  ['in small letters', 'vnc_ports = [ start = 6000 ]', { start: 6000, reserved: [] }],
  ['twice', 'VNC_PORTS=[START=1]\nVNC_PORTS=[START=2]', { start: 2, reserved: [] }],
  ['with CRLF', 'VNC_PORTS = [\r\n START = 6000\r\n]\r\n', { start: 6000, reserved: [] }],
  ['with a # in quotes', 'X = "a # b"\nVNC_PORTS = [ START = 6000 ]', { start: 6000, reserved: [] }],
  ['with nonsense as START', 'VNC_PORTS = [ START = many ]', undefined],
  ['with nonsense as RESERVED', 'VNC_PORTS = [ RESERVED = "1-2" ]', undefined],
  ['with half a range', 'VNC_PORTS = [ RESERVED = "1:" ]', undefined],
  ['with a port that is none', 'VNC_PORTS = [ START = 99999 ]', undefined],
  ['without its end', 'VNC_PORTS = [ START = 5900', undefined],
  ['empty', '', { start: 5900, reserved: [] }],
])('%s', (_what, text, expected) => {
  expect(parseVncPorts(text)).toEqual(expected);
});
