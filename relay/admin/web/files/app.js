// The dashboard: which view is shown, and who looks at it.
import {h, replace} from './dom.js';
import {get, post, remove} from './api.js';
import {say} from './dialog.js';
import {overview} from './overview.js';
import {queue} from './queue.js';
import {message} from './message.js';
import {trace} from './trace.js';
import {destinations, destination} from './destinations.js';
import {connections} from './connections.js';
import {suppressions} from './suppressions.js';
import {events} from './events.js';
import {journal} from './journal.js';
import {config} from './config.js';

const views = [
  {path: '', name: 'Overview', show: overview},
  {path: 'queue', name: 'Queue', show: queue},
  {path: 'trace', name: 'Trace', show: trace},
  {path: 'destinations', name: 'Destinations', show: destinations},
  {path: 'connections', name: 'Connections', show: connections},
  {path: 'suppressions', name: 'Suppressions', show: suppressions},
  {path: 'events', name: 'Live', show: events},
  {path: 'journal', name: 'Journal', show: journal},
  {path: 'config', name: 'Configuration', show: config},
];
const details = {message, destination};

const main = document.getElementById('main');
let session = {sign_in: true}, leave = new AbortController();

// where reads the address: #/view/argument?query.
function where() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [view, ...rest] = path.split('/');
  return {view, argument: decodeURIComponent(rest.join('/')), query: new URLSearchParams(query)};
}

// go shows the view that the address names. A view is given what it needs, and a signal that
// ends with it.
function go() {
  leave.abort();
  leave = new AbortController();
  const at = where();
  const found = views.find((v) => v.path === at.view);
  const show = found?.show ?? details[at.view];
  if (!show) { location.hash = '#/'; return; }
  document.title = (found?.name ?? at.argument) + ' · Postrider';
  drawNav({message: 'trace', destination: 'destinations'}[at.view] ?? at.view);
  if (session.sign_in) { signIn(); return; }
  const page = h('div');
  replace(main, session.changes ? null : readOnly(), page);
  show({page, session, ...at, signal: leave.signal, again: (f, every) => again(f, every, leave.signal, page)});
}

// again calls f now, after each change, and every so many milliseconds while the page is seen.
async function again(f, every, signal, page) {
  let failed = null, busy = false;
  const once = async () => {
    if (signal.aborted || busy) return;
    busy = true;
    const back = focusIn(page);
    try {
      await f();
      back();
      failed?.remove();
      failed = null;
    } catch (e) {
      if (e.name !== 'AbortError' && !signal.aborted) {
        failed?.remove();
        failed = h('div', {class: 'notice bad', role: 'alert'}, e.message);
        page.prepend(failed);
      }
    }
    busy = false;
  };
  addEventListener('changed', once, {signal});
  await once();
  if (!every) return;
  const timer = setInterval(() => { if (!document.hidden) once(); }, every);
  signal.addEventListener('abort', () => clearInterval(timer));
}

// focusIn gives what puts the focus back to where it is, after the page was drawn anew.
function focusIn(page) {
  const key = (e) => e.id || e.dataset.action || e.getAttribute('href');
  let seen = null;
  const watch = (e) => { seen = key(e.target); };
  page.addEventListener('focusin', watch);
  if (page.contains(document.activeElement)) seen = key(document.activeElement);
  return () => {
    page.removeEventListener('focusin', watch);
    if (!seen || document.activeElement !== document.body) return;
    [...page.querySelectorAll('a, button, summary')].find((e) => key(e) === seen)?.focus({preventScroll: true});
  };
}

function readOnly() {
  return h('p', {class: 'notice small'}, session.tokens
    ? 'This token may look, and change nothing.'
    : 'For looking only: changes from a browser need a token, see admin.tokens in the configuration.');
}

function drawNav(current) {
  replace(document.getElementById('nav'), session.sign_in ? null : views.map((v) =>
    h('a', {href: '#/' + v.path, 'aria-current': v.path === current && 'page'}, v.name)));
  const nav = document.getElementById('nav'), here = nav.querySelector('[aria-current]');
  if (here) nav.scrollLeft = here.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2; // where it is wider than the screen
  replace(document.getElementById('tools'),
    session.name ? [h('span', {class: 'small'}, session.name), h('button', {class: 'bare', id: 'signout', onclick: signOut}, 'Sign out')] : null,
    themeButton());
}

function themeButton() {
  const now = document.documentElement.dataset.theme ?? 'auto';
  const names = {auto: '◐ Auto', light: '☀ Light', dark: '☾ Dark'};
  return h('button', {
    class: 'bare', id: 'theme', 'aria-label': `Theme: ${now}`, title: 'Theme: as the system, light, or dark',
    onclick() {
      const next = {auto: 'light', light: 'dark', dark: 'auto'}[now];
      if (next === 'auto') { delete document.documentElement.dataset.theme; localStorage.removeItem('theme'); } else {
        document.documentElement.dataset.theme = next;
        localStorage.setItem('theme', next);
      }
      drawNav(where().view);
      document.getElementById('theme').focus();
    },
  }, names[now]);
}

function signIn() {
  const note = h('p', {role: 'alert'});
  const form = h('form', {class: 'panel signin'},
    h('h1', null, 'Sign in'),
    h('p', {class: 'quiet'}, 'With a token of admin.tokens. The browser forgets it when it closes, and after two hours without use.'),
    h('label', null, 'Token', h('input', {name: 'token', type: 'password', required: true, autocomplete: 'current-password', autofocus: true})),
    note,
    h('button', {class: 'main', type: 'submit'}, 'Sign in'));
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    try {
      session = await post('/v1/session', {token: form.elements.token.value});
      go();
    } catch (err) {
      note.textContent = err.message;
      note.className = 'notice bad';
      form.elements.token.select();
    }
  });
  replace(main, form);
  form.elements.token.focus();
}

async function signOut() {
  try {
    session = await remove('/v1/session');
  } catch (e) {
    say(e.message, true);
    return;
  }
  go();
}

addEventListener('hashchange', () => { go(); main.focus(); scrollTo(0, 0); });
addEventListener('signedout', () => {
  if (session.sign_in) return;
  session = {sign_in: true, tokens: true};
  go();
});
try {
  session = await get('/v1/session');
  go();
} catch (e) {
  replace(main, h('p', {class: 'notice bad', role: 'alert'}, e.message));
}
