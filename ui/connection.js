// @ts-check
/**
 * Keeps the run on the screen when the server goes away. Gradio asks every two seconds whether its server answers again,
 * and then loads the page anew. Here the answer waits until the run and the controls are laid aside; the new page takes
 * them up, and the next click goes on with the run.
 */

const PROBE_MS = 1500;
const KEY = "tr-kept";
/** Longer addresses may not pass; the controls then begin as on a new page. */
const LONGEST_QUERY = 6000;

/**
 * @param {URL} base of the page
 * @param {{lost: () => void, found: () => void, records: () => string[], receive: (text: string) => void}} explorer
 * @param {() => string} query the controls as a query string
 */
export async function keepPage(base, explorer, query) {
  const ask = window.fetch.bind(window);
  let lost = false;

  window.fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, base);
    return url.pathname.endsWith("/gradio_api/app_id") ? whenThereAgain(url) : ask(input, init);
  };

  /** @param {URL} url */
  async function whenThereAgain(url) {
    if (lost) throw new Error("one asks already");
    lost = true;
    explorer.lost();
    while (!(await answers())) await new Promise((done) => setTimeout(done, PROBE_MS));
    await layAside(explorer.records());
    const controls = query();
    if (controls && controls.length <= LONGEST_QUERY) history.replaceState(null, "", `?${controls}`);
    return ask(url);
  }

  async function answers() {
    try {
      return (await ask(new URL("healthz", base))).ok;
    } catch {
      return false;
    }
  }

  const kept = await takeUp();
  kept.forEach(explorer.receive);
  if (kept.length) explorer.found();
}

/** @param {string[]} records */
async function layAside(records) {
  if (!records.length) return;
  try {
    const place = crypto.getRandomValues(new Uint32Array(2)).join("-");
    await inStore((store) => store.put(records, place));
    sessionStorage.setItem(KEY, place);
  } catch {
    // A browser that stores nothing begins anew.
  }
}

/** What this tab laid aside, once. @returns {Promise<string[]>} */
async function takeUp() {
  try {
    const place = sessionStorage.getItem(KEY);
    if (!place) return [];
    sessionStorage.removeItem(KEY);
    const records = await inStore((store) => store.get(place));
    await inStore((store) => store.clear());
    return Array.isArray(records) ? records : [];
  } catch {
    return [];
  }
}

/** @param {(store: IDBObjectStore) => IDBRequest} work @returns {Promise<any>} */
function inStore(work) {
  return new Promise((done, fail) => {
    const opening = indexedDB.open(KEY, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(KEY);
    opening.onerror = () => fail(opening.error);
    opening.onsuccess = () => {
      const request = work(opening.result.transaction(KEY, "readwrite").objectStore(KEY));
      request.onsuccess = () => done(request.result);
      request.onerror = () => fail(request.error);
      request.transaction?.addEventListener("complete", () => opening.result.close());
    };
  });
}
