/** The page's script, as the browser gets it: fetches the page again when there is news, and changes what differs. */

export const PAGE_SCRIPT = `'use strict';
(() => {
  // Nodes stay where they are the same, so that focus, selection and scroll places do.
  const attributes = (from, to) => {
    for (const { name } of [...to.attributes]) if (!from.hasAttribute(name)) to.removeAttribute(name);
    for (const { name, value } of from.attributes) if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  };
  const change = (to, from) => {
    if (to.nodeType !== from.nodeType || to.nodeName !== from.nodeName) return to.replaceWith(from.cloneNode(true));
    if (to.nodeType !== Node.ELEMENT_NODE) {
      if (to.data !== from.data) to.data = from.data;
      return;
    }
    if (to.isEqualNode(from)) return;
    attributes(from, to);
    const news = [...from.childNodes];
    while (to.childNodes.length > news.length) to.lastChild.remove();
    const olds = [...to.childNodes];
    news.forEach((node, i) => (olds[i] ? change(olds[i], node) : to.append(node.cloneNode(true))));
  };

  // A director that hangs, or a proxy before it, may never answer.
  const PATIENCE = 10_000;
  let heard = Date.now();
  let busy = false;
  let again = false;
  const refresh = async () => {
    if (document.hidden) return;
    if (busy) return void (again = true);
    busy = true;
    try {
      const answer = await fetch('/', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      document.title = page.title;
      for (const part of ['header', 'main', 'footer']) change(document.querySelector('body > ' + part), page.querySelector('body > ' + part));
      live(true);
    } catch {
      live(false);
    }
    busy = false;
    if (again) {
      again = false;
      setTimeout(refresh, 1000);
    }
  };
  const live = (is) => {
    document.getElementById('live').textContent = is ? 'live,' : 'no answer since';
    document.body.classList.toggle('stale', !is);
  };

  // A page that nobody sees listens to nothing: a browser has few connections to a host.
  let source;
  const listen = () => {
    source?.close();
    heard = Date.now();
    if (document.hidden) return;
    source = new EventSource('/api/v1/events');
    for (const name of ['summary', 'event'])
      source.addEventListener(name, () => {
        heard = Date.now();
        refresh();
      });
    source.addEventListener('error', () => live(false));
    refresh();
  };
  listen();
  document.addEventListener('visibilitychange', listen);
  // The browser comes back by itself, but not when it was refused or hears nothing.
  setInterval(() => Date.now() - heard > PATIENCE && listen(), PATIENCE / 2);
})();
`;
