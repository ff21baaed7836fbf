// Rules of OpenNebula's ACL, written as `oneacl` takes them, in the numbers that oned answers with: one.acl.info.

const USER = { '#': 0x1_0000_0000n, '@': 0x2_0000_0000n, '*': 0x4_0000_0000n, '%': 0x8_0000_0000n };
const RIGHTS: Record<string, bigint> = { USE: 1n, MANAGE: 2n, ADMIN: 4n, CREATE: 8n };
/** Of include/PoolObjectSQL.h, those that the tests name. */
const TYPES: Record<string, bigint> = {
  VM: 0x10_0000_0000n,
  HOST: 0x20_0000_0000n,
  IMAGE: 0x80_0000_0000n,
  USER: 0x100_0000_0000n,
  BACKUPJOB: 0x40_0000_0000_0000n,
};

/** `#3 VM+HOST/@100 USE+MANAGE #0`; without a zone it is for all. */
export function ruleXml(rule: string): string {
  const [user = '', resource = '', rights = '', zone = '*'] = rule.split(' ');
  const [types = '', which = ''] = resource.split('/');
  const sum = (names: string, of: Record<string, bigint>) =>
    names.split('+').reduce((total, name) => total | (of[name] ?? 0n), 0n);
  const hex = (number: bigint) => number.toString(16);
  return (
    `<ACL><ID>9</ID><USER>${hex(idOf(user))}</USER><RESOURCE>${hex(sum(types, TYPES) | idOf(which))}</RESOURCE>` +
    `<RIGHTS>${hex(sum(rights, RIGHTS))}</RIGHTS><ZONE>${hex(idOf(zone))}</ZONE><STRING>${rule}</STRING></ACL>`
  );
}

export function aclXml(rules: readonly string[]): string {
  return `<ACL_POOL>${rules.map(ruleXml).join('')}</ACL_POOL>`;
}

/** `#3`, `@100`, `%1` or `*`. */
function idOf(text: string): bigint {
  return USER[text[0] as keyof typeof USER] | BigInt(text.slice(1) || 0);
}
