// One message: all that is known of it, and what can be done about it.
import {h, replace, table, badge, moodOf} from './dom.js';
import {get, list, query} from './api.js';
import {askAction} from './dialog.js';
import {moment, bytes, age, until, sender} from './format.js';

export function message({page, argument: id, again, signal, session}) {
  const at = h('div'), top = h('pre'), whole = h('details', {class: 'panel', hidden: true}, h('summary', {id: 'header'}, 'Header, as it is sent'), top);
  replace(page, h('h1', {class: 'mono'}, id), at, whole);
  again(async () => {
    let life = null;
    for await (const l of list('/v1/trace?' + query({id}), signal)) life = l;
    let detail = null;
    try {
      detail = await get('/v1/queue/' + encodeURIComponent(id), signal);
    } catch (e) {
      if (e.status !== 404) throw e;
    }
    if (!life && !detail) {
      replace(at, h('p', {class: 'notice'}, 'Nothing is known of this message: it was never here, or is forgotten.'));
      return;
    }
    replace(at, buttons(id, detail, session), facts(life ?? detail, detail), waiting(detail), life ? lifeOf(life) : null, verdicts(life ?? detail));
    whole.hidden = !detail;
    if (detail && top.textContent !== detail.header) top.textContent = detail.header;
  }, 5000);
}

function buttons(id, detail, session) {
  if (!detail || !session.changes) return null;
  const button = (action, name, danger) => h('button', {class: danger && 'danger', 'data-action': action, onclick: () => askAction(action, {ids: [id]}, false, 'this message')}, name);
  return h('div', {class: 'row apart'}, h('span'), h('div', {class: 'row'},
    button('hold', 'Hold'), button('release', 'Release'), button('retry', 'Retry'), button('bounce', 'Bounce', true), button('delete', 'Delete', true)));
}

function facts(v, detail) {
  const rows = [
    ['Subject', v.subject], ['From', sender(v.sender)], ['To', v.recipients.slice(0, 20).join(', ') + (v.recipients.length > 20 ? ` and ${v.recipients.length - 20} more` : '')],
    ['Message-ID', v.message_id], ['Received', `${moment(v.received)}, ${age(v.received)} ago`], ['Size', bytes(v.size)],
    ['Client', [v.client, v.listener && `at ${v.listener}`, v.user && `as ${v.user}`].filter(Boolean).join(' ')],
    ['Tags', v.tags?.join(', ')], ['Signed with', v.signatures?.join(', ')], ['Priority', detail?.priority],
  ];
  return h('section', {class: 'panel'}, h('dl', {class: 'facts'}, rows.filter(([, t]) => t).map(([n, t]) => [h('dt', null, n), h('dd', null, t)])));
}

function waiting(detail) {
  if (!detail) return h('p', {class: 'notice'}, 'It has left the queue.');
  return h('section', {class: 'panel'}, h('h2', null, 'Still to be delivered'), table('Deliveries', [
    {name: 'Destination', kind: 'wide', label: '', of: (d) => h('a', {href: '#/destination/' + encodeURIComponent(d.destination)}, d.destination)},
    {name: 'To', kind: 'wide', of: (d) => d.recipients.slice(0, 5).join(', ') + (d.recipients.length > 5 ? ` and ${d.recipients.length - 5} more` : '')},
    {name: 'State', kind: 'tight', of: (d) => badge(d.state)},
    {name: 'Tries', kind: 'number', of: (d) => d.attempts},
    {name: 'Next attempt', kind: 'tight', of: (d) => d.state === 'held' ? '' : until(d.due)},
    {name: 'Why it is here', kind: 'wide small', of: (d) => d.reason},
  ], detail.deliveries, 'Nothing.'));
}

// lifeOf shows what happened, in order of time.
export function lifeOf(life) {
  const item = (mood, ...what) => h('li', {class: mood}, what);
  return h('section', {class: 'panel'}, h('h2', null, 'What happened'), h('ol', {class: 'life'},
    item('accent', h('div', null, badge('accepted'), ' ', h('span', {class: 'quiet small'}, moment(life.received)))),
    (life.events ?? []).map((e) => item(moodOf(e.event),
      h('div', null, badge(e.event), ' ', h('span', {class: 'quiet small'}, moment(e.at), e.attempts ? `, attempt ${e.attempts}` : '')),
      e.recipients.length ? h('div', {class: 'small'}, e.recipients.slice(0, 8).join(', '), e.recipients.length > 8 ? ` and ${e.recipients.length - 8} more` : '', e.host ? ` by ${e.host}` : '') : null,
      e.code ? h('div', {class: 'small mono'}, [e.code, e.enhanced, e.reply].filter(Boolean).join(' ')) : null,
      e.author ? h('div', {class: 'small'}, `${e.author}: ${e.reason}`) : null))));
}

function verdicts(v) {
  if (!v.trace?.length) return null;
  return h('section', {class: 'panel'}, h('h2', null, 'What rules said'), table('Verdicts', [
    {name: 'Rule', of: (t) => t.rule}, {name: 'At', of: (t) => t.stage}, {name: 'Recipient', of: (t) => t.recipient ?? ''},
    {name: 'Said', kind: 'wide', of: (t) => t.said ?? h('span', {class: 'quiet'}, 'did not match')},
  ], v.trace, ''));
}
