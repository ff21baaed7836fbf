// Where things are in the demo's picture and what colours they have; shared by the files that paint it.
// What always holds: every panel lies inside the screen.

export const SCREEN_WIDTH = 640;
export const SCREEN_HEIGHT = 400;

/** Colours as 0xRRGGBB. */
export const COLOURS = {
  skyTop: 0x0a1626,
  skyBottom: 0x14384d,
  panel: 0x0e2236,
  key: 0x1f3f5a,
  white: 0xf2f7fa,
  muted: 0x86a8c0,
  teal: 0x2dd4bf,
  violet: 0x8b8cf9,
  coral: 0xfb7f6b,
  amber: 0xfbbf24,
};

/** The framed areas, in pixels. */
export const PANELS = {
  stage: { x: 24, y: 98, width: 592, height: 112, title: '' },
  keyboard: { x: 24, y: 222, width: 376, height: 114, title: 'KEYBOARD' },
  pointer: { x: 412, y: 222, width: 204, height: 114, title: 'POINTER' },
  clipboard: { x: 24, y: 348, width: 592, height: 34, title: 'CLIPBOARD' },
};
