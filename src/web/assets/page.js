/** The script of the status page: fetches the page after each event, and updates what differs. */

(() => {
  // Unchanged nodes are kept, so that focus, selection and scroll positions are kept, too.
  const attributes = (from, to) => {
    for (const { name } of [...to.attributes]) if (!from.hasAttribute(name)) to.removeAttribute(name);
    for (const { name, value } of from.attributes)
      if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  };
  const change = (to, from) => {
    if (to.nodeType !== from.nodeType || to.nodeName !== from.nodeName)
      return to.replaceWith(from.cloneNode(true));
    if (to.nodeType !== Node.ELEMENT_NODE) {
      if (to.data !== from.data) to.data = from.data;
      return;
    }
    if (to.isEqualNode(from)) return;
    attributes(from, to);
    const news = [...from.childNodes];
    while (to.childNodes.length > news.length) to.lastChild.remove();
    const olds = [...to.childNodes];
    for (const [i, node] of news.entries()) {
      if (olds[i]) change(olds[i], node);
      else to.append(node.cloneNode(true));
    }
  };

  // A director that hangs, or a proxy in front of it, may never respond.
  const TIMEOUT_MS = 10_000;
  let lastEvent = Date.now();
  let busy = false;
  let again = false;
  const refresh = async () => {
    if (document.hidden) return;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch('/', { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      document.title = page.title;
      for (const part of ['header', 'main', 'footer'])
        change(document.querySelector(`body > ${part}`), page.querySelector(`body > ${part}`));
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

  // A hidden page closes its stream: a browser allows few connections to a host.
  let source;
  const listen = () => {
    source?.close();
    lastEvent = Date.now();
    if (document.hidden) return;
    source = new EventSource('/api/v1/events');
    for (const name of ['summary', 'event'])
      source.addEventListener(name, () => {
        lastEvent = Date.now();
        void refresh();
      });
    // A server that refuses the stream may still answer requests.
    source.addEventListener('error', () => void refresh());
    void refresh();
  };
  listen();
  document.addEventListener('visibilitychange', listen);
  // The browser reconnects automatically, but not after a refusal or if no event arrives.
  setInterval(() => Date.now() - lastEvent > TIMEOUT_MS && listen(), TIMEOUT_MS / 2);
})();
