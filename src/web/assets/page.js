/** The script of the status page: fetches what has changed, filters, sorts, and remembers what is open. */

(() => {
  const byId = (id) => document.getElementById(id);
  const list = byId('list');

  // Unchanged nodes are kept, so that focus, selection and scroll positions are kept, too.
  /** What the script sets itself. */
  const isOwn = (element, name) => name === 'hidden' || (name === 'open' && element.nodeName === 'DETAILS');
  const attributes = (from, to) => {
    for (const name of to.getAttributeNames())
      if (!from.hasAttribute(name) && !isOwn(to, name)) to.removeAttribute(name);
    for (const name of from.getAttributeNames()) {
      const value = from.getAttribute(name);
      if (to.getAttribute(name) !== value && !isOwn(to, name)) to.setAttribute(name, value);
    }
  };
  const change = (to, from) => {
    if (to.nodeType !== from.nodeType || to.nodeName !== from.nodeName)
      return to.replaceWith(from.cloneNode(true));
    if (to.nodeType !== Node.ELEMENT_NODE) {
      if (to.data !== from.data) to.data = from.data;
      return;
    }
    attributes(from, to);
    if (from.firstElementChild || to.firstElementChild) changeChildren(to, [...from.childNodes]);
    else if (to.textContent !== from.textContent) to.textContent = from.textContent;
  };
  /** Elements with an ID remain themselves when others come before them. */
  const changeChildren = (to, news) => {
    const ids = new Set(news.map(({ id }) => id).filter(Boolean));
    const children = ids.size > 0 ? [...to.children].filter(({ id }) => ids.has(id)) : [];
    const known = new Map(children.map((child) => [child.id, child]));
    for (const [i, node] of news.entries()) {
      const old = to.childNodes[i];
      const same = known.get(node.id);
      if (same) {
        if (old !== same) to.insertBefore(same, old);
        change(same, node);
      } else if (!old || known.has(old.id) || node.id) to.insertBefore(node.cloneNode(true), old ?? null);
      else change(old, node);
    }
    while (to.childNodes.length > news.length) to.lastChild.remove();
  };

  // Which services are open: as the server proposes, until a click or a key decides.
  const KEY = 'lvs-director-open';
  let chosen = {};
  try {
    chosen = JSON.parse(sessionStorage.getItem(KEY) ?? '{}');
  } catch {
    // Storage is not available.
  }
  const choose = (id, isOpen) => {
    chosen[id] = isOpen;
    try {
      sessionStorage.setItem(KEY, JSON.stringify(chosen));
    } catch {
      // It lasts as long as the page, then.
    }
  };
  const proposed = new Map();
  const services = () => [...list.children];
  const isFiltering = () => byId('filter').value.trim() !== '';
  const openOf = ({ id }) => chosen[id] ?? proposed.get(id) ?? false;
  for (const { id, open } of services()) proposed.set(id, open);

  // The servers of a service that is closed, or out of sight, are drawn when they come into view: the latest HTML waits.
  const pending = new Map();
  const inView = new Set();
  const SERVICE_END = '</details>';
  for (const service of services()) {
    const servers = service.querySelector('noscript');
    if (!servers) continue;
    servers.remove();
    const html = service.outerHTML;
    pending.set(service.id, html.slice(0, -SERVICE_END.length) + servers.textContent + SERVICE_END);
  }
  const parser = new DOMParser();
  const parsed = (html) => [...parser.parseFromString(`<body>${html}</body>`, 'text/html').body.children];
  /** Draws the servers of a service. `words`: not if one of them does not occur. */
  const settle = ({ id }, words = []) => {
    const html = pending.get(id);
    if (html === undefined) return;
    const text = words.length > 0 ? html.toLowerCase() : '';
    if (!words.every((word) => text.includes(word))) return;
    pending.delete(id);
    change(byId(id), parsed(html)[0]);
  };
  const isInSight = (service) => service.open && inView.has(service.id);
  const sight = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) inView.add(target.id);
        else inView.delete(target.id);
        if (isInSight(target)) settle(target);
      }
    },
    { rootMargin: '50%' },
  );
  for (const service of services()) sight.observe(service);
  list.addEventListener('toggle', ({ target }) => isInSight(target) && settle(target), true);

  /** Returns the number of servers, drawn or not. */
  const serversOf = (service) => {
    const html = pending.get(service.id);
    if (html === undefined) return service.querySelectorAll('tbody tr').length;
    return html.slice(html.indexOf('<tbody')).split('<tr').length - 1;
  };

  // Each word of the filter must occur in the service, or in the service and one of its servers.
  const textOf = (element) => element.textContent.toLowerCase();
  const SHOWN = {
    '': () => true,
    problems: ({ dataset }) => Number(dataset.rank) < 3,
    'no-check': ({ dataset }) => Number(dataset.unchecked) > 0,
  };
  const filter = () => {
    const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
    const isShown = SHOWN[byId('show').value] ?? SHOWN[''];
    const isAll = words.length === 0 && byId('show').value === '';
    let count = 0;
    let servers = 0;
    for (const service of services()) {
      const left = words.filter((word) => {
        const [title, health] = service.querySelectorAll('summary > .title, summary > .health');
        return !`${textOf(title)} ${textOf(health)}`.includes(word);
      });
      if (left.length > 0) settle(service, left);
      let matching = 0;
      for (const row of service.querySelectorAll('tbody tr')) {
        const text = left.length > 0 ? `${textOf(row.cells[0])} ${textOf(row.cells[1])}` : '';
        row.hidden = !left.every((word) => text.includes(word));
        if (!row.hidden) matching++;
      }
      if (left.length === 0 && !isAll) matching = serversOf(service);
      service.hidden = !isShown(service) || (left.length > 0 && matching === 0);
      if (!service.hidden) {
        count++;
        servers += matching;
      }
      const isOpen = (left.length > 0 && !service.hidden) || openOf(service);
      if (service.open !== isOpen) service.open = isOpen;
    }
    byId('none').hidden = count > 0;
    const found = isAll ? '' : `${count} of ${list.children.length} services, ${servers} servers`;
    if (byId('found').textContent !== found) byId('found').textContent = found;
  };

  const number = (name) => (service) => Number(service.dataset[name]);
  const KEYS = {
    '': (a, b) => number('rank')(a) - number('rank')(b),
    order: () => 0,
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, 'en', { numeric: true }),
    new: (a, b) => number('new')(b) - number('new')(a),
    traffic: (a, b) => number('traffic')(b) - number('traffic')(a),
  };
  const sort = () => {
    const key = KEYS[byId('sort').value] ?? KEYS[''];
    const wanted = services().sort((a, b) => key(a, b) || number('order')(a) - number('order')(b));
    // The service that has the focus stays in the document, because moving it would lose the focus.
    const focused = wanted.findIndex((service) => service.contains(document.activeElement));
    for (let i = focused - 1; i >= 0; i--)
      if (wanted[i].nextElementSibling !== wanted[i + 1]) list.insertBefore(wanted[i], wanted[i + 1]);
    for (let i = Math.max(focused, 0) + (focused < 0 ? 0 : 1); i < wanted.length; i++) {
      const before = i === 0 ? list.firstElementChild : wanted[i - 1].nextElementSibling;
      if (before !== wanted[i]) list.insertBefore(wanted[i], before);
    }
  };

  // The query of the address keeps filter and order for a reload, and for others.
  const CONTROLS = ['filter', 'show', 'sort'];
  const query = new URLSearchParams(location.search);
  for (const id of CONTROLS) {
    const value = query.get(id) ?? '';
    if (id === 'filter' || value in (id === 'show' ? SHOWN : KEYS)) byId(id).value = value;
    byId(id).addEventListener('input', () => {
      const next = new URLSearchParams();
      for (const each of CONTROLS) if (byId(each).value !== '') next.set(each, byId(each).value);
      history.replaceState(null, '', `${next.size > 0 ? `?${next}` : location.pathname}${location.hash}`);
      sort();
      filter();
    });
  }
  byId('tools').hidden = false;
  list.addEventListener('click', ({ target }) => {
    const service = target.closest('summary')?.parentElement;
    // Its state changes after this event.
    if (service?.parentElement === list) choose(service.id, !service.open);
  });
  const openAll = (isOpen) => () => {
    for (const service of services()) if (!service.hidden) choose(service.id, isOpen);
    filter();
  };
  byId('expand').addEventListener('click', openAll(true));
  byId('collapse').addEventListener('click', openAll(false));
  // A link to a service opens it.
  const goTo = () => {
    const service = services().find(
      ({ id }) => `#${id}` === location.hash || `#${encodeURI(id)}` === location.hash,
    );
    if (!service) return;
    choose(service.id, true);
    service.hidden = false;
    service.open = true;
    service.scrollIntoView();
  };
  addEventListener('hashchange', goTo);
  document.addEventListener('click', ({ target }) => {
    if (target.closest?.('#problems a')) setTimeout(goTo);
  });
  document.addEventListener('keydown', (event) => {
    const isTyping = ['INPUT', 'SELECT', 'TEXTAREA'].includes(document.activeElement?.nodeName);
    if (event.key === '/' && !isTyping && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      byId('filter').focus();
    } else if (event.key === 'Escape' && document.activeElement === byId('filter') && isFiltering()) {
      byId('filter').value = '';
      byId('filter').dispatchEvent(new Event('input'));
    }
  });
  sort();
  filter();
  if (location.hash.startsWith('#s-')) goTo();

  const END = '</summary>';
  const update = ({ version, order, parts }) => {
    const ids = new Set(order);
    for (const service of services()) {
      if (ids.has(service.id)) continue;
      pending.delete(service.id);
      service.remove();
    }
    for (const id of ['problems', 'hidden', 'cluster']) if (!ids.has(id)) byId(id)?.remove();
    const texts = Object.entries(parts).map(([id, html]) => {
      const known = id.startsWith('s-') ? byId(id) : undefined;
      pending.delete(id);
      if (!known || isInSight(known)) return html;
      pending.set(id, html);
      return `${html.slice(0, html.indexOf(END))}${END}${SERVICE_END}`;
    });
    for (const element of parsed(texts.join(''))) {
      const { id } = element;
      const known = byId(id);
      if (id.startsWith('s-')) proposed.set(id, element.open);
      if (pending.has(id)) {
        attributes(element, known);
        change(known.firstElementChild, element.firstElementChild);
      } else if (known) change(known, element);
      else if (id === 'problems') byId('overview').after(element);
      else if (id === 'hidden') byId('none').after(element);
      else if (id === 'cluster') byId('drops').before(element);
      else {
        list.append(element);
        sight.observe(element);
      }
    }
    document.body.dataset.version = version;
    document.title = byId('head').dataset.title;
    sort();
    filter();
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
      const { version } = document.body.dataset;
      const answer = await fetch(`/page.json?since=${encodeURIComponent(version)}`, {
        cache: 'no-store',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (!answer.ok) throw new Error(answer.statusText);
      update(await answer.json());
      live(true);
      // Another version of the director has another script.
      if (byId('head').dataset.build !== document.body.dataset.build) location.reload();
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
    byId('live').textContent = is ? 'live,' : 'no answer since';
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
