// The letters of the demo's picture: printable ASCII, drawn for this project on a grid of 5 by 9 pixels.
// What always holds: rows 0 to 6 stand on the base line, rows 7 and 8 are for descenders.

/** A glyph's size in pixels, without the gap to the next one. */
export const GLYPH_WIDTH = 5;
export const GLYPH_HEIGHT = 9;

/** From the space to the tilde; a glyph is nine digits of base 32, a digit is a row, its highest bit leftmost. */
const GLYPHS = [
  '000000000 444440400 aaa000000 aavavaa00 4fke5u400 pp248jj00 cik8lid00 444000000',
  '244444200 844444800 04lel4000 044v44000 00000cc48 000v00000 00000cc00 11248gg00',
  'ehjlphe00 4c4444e00 eh1248v00 eh161he00 26aiv2200 vgu11he00 68guhhe00 v12444400',
  'ehhehhe00 ehhf12c00 00cc0cc00 00cc0cc48 024842000 00v0v0000 084248000 eh1240400',
  'ehnlnge00 ehhvhhh00 uhhuhhu00 ehggghe00 uhhhhhu00 vgguggv00 vgguggg00 ehgnhhe00',
  'hhhvhhh00 e44444e00 72222ic00 hikokih00 ggggggv00 hrllhhh00 hplljhh00 ehhhhhe00',
  'uhhuggg00 ehhhlid00 uhhukih00 fgge11u00 v44444400 hhhhhhe00 hhhhaa400 hhhllrh00',
  'hha4ahh00 hha444400 v1248gv00 e88888e00 gg8421100 e22222e00 4ah000000 0000000v0',
  '840000000 00e1fhf00 gguhhhu00 00eggge00 11fhhhf00 00ehvge00 68u888800 00fhhhf1e',
  'gguhhhh00 40c444e00 2062222ic gghisih00 c44444e00 00qllll00 00uhhhh00 00ehhhe00',
  '00uhhhugg 00fhhhf11 00mpggg00 00fge1u00 88u889600 00hhhhf00 00hhha400 00hllla00',
  '00ha4ah00 00hhhhf1e 00v248v00 244844200 444444400 844244800 009li0000',
]
  .join(' ')
  .split(' ')
  .map((rows) => [...rows].map((digit) => Number.parseInt(digit, 32)));

const FIRST_CODE = 0x20;
/** Stands for every character without a glyph. */
const HOLLOW_BOX = [31, 17, 17, 17, 17, 17, 31, 0, 0];

/** The nine rows of a character's glyph; bit 4 of a row is its leftmost pixel. */
export function findGlyph(character: string): readonly number[] {
  return GLYPHS[(character.codePointAt(0) ?? 0) - FIRST_CODE] ?? HOLLOW_BOX;
}
