// @ts-check
/**
 * What the browser remembers for a reader: small JSON values. Where storage is denied, as long as
 * the page is open.
 */

/** @param {string} key name of the value, one for each thing remembered */
export function createStore(key) {
  /** @type {string | null} */
  let own = null;
  return {
    /** The value, or null if there is none that can be read. @returns {any} */
    read() {
      try {
        own = window.localStorage.getItem(key) ?? own;
      } catch {
        // Denied by the browser's settings, or a page from a file: the value of this visit stands.
      }
      try {
        return JSON.parse(own ?? "null");
      } catch {
        return null;
      }
    },
    /** @param {any} value */
    write(value) {
      own = JSON.stringify(value);
      try {
        window.localStorage.setItem(key, own);
      } catch {
        // As above; or the storage is full.
      }
    },
  };
}
