// @ts-check
// An oned that answers at once, a process of its own: who the caller is, how it is set, and to everything else with a
// running VM with a VNC console.
// What always holds: an answer is built once, as long as oned's own; the connection ends with it, as oned's does.
import { createServer } from 'node:net';
import { answerOrders } from './helper.mjs';

const user =
  '<USER><ID>0</ID><GID>0</GID><GROUPS><ID>0</ID></GROUPS><GNAME>oneadmin</GNAME><NAME>oneadmin</NAME>' +
  '<PASSWORD></PASSWORD><AUTH_DRIVER>core</AUTH_DRIVER><ENABLED>1</ENABLED><TEMPLATE></TEMPLATE></USER>';
const config =
  '<OPENNEBULA_CONFIGURATION><FEDERATION><MODE>STANDALONE</MODE><ZONE_ID>0</ZONE_ID></FEDERATION>' +
  '</OPENNEBULA_CONFIGURATION>';
const others = [
  { method: 'one.user.info', answer: replyOf(user) },
  { method: 'one.system.config', answer: replyOf(config) },
];
let ofVm = Buffer.alloc(0);

/** @param {{ port: number }} target */
function describe({ port }) {
  const attributes = (/** @type {Record<string, string | number>} */ members) =>
    Object.entries(members)
      .map(([name, value]) => `<${name}><![CDATA[${value}]]></${name}>`)
      .join('');
  // What monitoring and history of a real VM add.
  const monitoring = Object.fromEntries(
    Array.from({ length: 30 }, (_none, index) => [`COUNTER_${index}`, index * 997]),
  );
  const graphics = attributes({ LISTEN: '0.0.0.0', PORT: port, TYPE: 'VNC' });
  const permissions = [
    'OWNER_U',
    'OWNER_M',
    'OWNER_A',
    'GROUP_U',
    'GROUP_M',
    'GROUP_A',
    'OTHER_U',
    'OTHER_M',
    'OTHER_A',
  ]
    .map((name) => `<${name}>${/OWNER_[UM]/.test(name) ? 1 : 0}</${name}>`)
    .join('');
  const vm =
    '<VM><ID>0</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME><GNAME>oneadmin</GNAME><NAME>bench</NAME>' +
    `<PERMISSIONS>${permissions}</PERMISSIONS><STATE>3</STATE><LCM_STATE>3</LCM_STATE><DEPLOY_ID>one-0</DEPLOY_ID>` +
    `<MONITORING>${attributes(monitoring)}</MONITORING>` +
    `<TEMPLATE>${attributes({ CPU: 1, MEMORY: 128 })}<GRAPHICS>${graphics}</GRAPHICS></TEMPLATE>` +
    '<USER_TEMPLATE></USER_TEMPLATE><HISTORY_RECORDS><HISTORY><OID>0</OID><SEQ>0</SEQ>' +
    '<HOSTNAME>127.0.0.1</HOSTNAME><HID>0</HID></HISTORY></HISTORY_RECORDS></VM>';
  ofVm = replyOf(vm);
}

/** @param {string} document */
function replyOf(document) {
  const text = document.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
  const values = ['<boolean>1</boolean>', `<string>${text}</string>`, '<i4>0</i4>'];
  const body =
    '<?xml version="1.0" encoding="UTF-8"?>\n<methodResponse>\n<params>\n<param><value><array><data>\n' +
    values.map((value) => `<value>${value}</value>\n`).join('') +
    '</data></array></value></param>\n</params>\n</methodResponse>\n';
  return Buffer.from(
    'HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nConnection: close\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

const server = createServer({ noDelay: true }, (socket) => {
  let request = '';
  socket.setEncoding('latin1');
  socket.on('error', () => {});
  socket.on('data', (/** @type {string} */ chunk) => {
    request += chunk;
    if (!request.includes('</methodCall>')) return;
    socket.end(others.find(({ method }) => request.includes(`<methodName>${method}<`))?.answer ?? ofVm);
  });
});

server.listen({ host: '127.0.0.1', port: 0, backlog: 1024 }, () => {
  const address = server.address();
  answerOrders({ describe, port: () => (typeof address === 'object' ? address?.port : undefined) });
});
