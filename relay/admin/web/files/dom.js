// Elements are made of text, never of markup: what mail says stays text.

// h makes an element: h('a', {href: '#/'}, 'text', child, ...). A property that begins with
// "on" is a listener; null, undefined and false are left out.
export function h(name, props, ...children) {
  const e = document.createElement(name);
  set(e, props);
  add(e, children);
  return e;
}

// svg is h for drawings.
export function svg(name, props, ...children) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  set(e, props);
  add(e, children);
  return e;
}

function set(e, props) {
  for (const [k, v] of Object.entries(props ?? {})) {
    if (v === null || v === undefined || v === false) continue;
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (k === 'value') e.value = v;
    else e.setAttribute(k, v === true ? '' : v);
  }
}

function add(e, children) {
  for (const c of children.flat(Infinity)) {
    if (c === null || c === undefined || c === false) continue;
    e.append(c instanceof Node ? c : String(c));
  }
}

// replace puts new children in the place of all that were there.
export function replace(e, ...children) {
  e.replaceChildren();
  add(e, children);
}

// table makes one whose rows become cards on a phone. Columns are {name, of, kind}; of gives
// what a cell has, kind is a class.
export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return h('p', {class: 'empty'}, empty);
  const body = h('tbody');
  const t = h('div', {class: 'scroll'}, h('table', {class: 'cards', 'aria-label': caption},
    h('thead', null, h('tr', null, columns.map((c) => h('th', {scope: 'col', class: c.kind}, c.name)))), body));
  fill(body, columns, rows);
  return t;
}

// fill adds rows to the body of a table.
export function fill(body, columns, rows) {
  add(body, rows.map((r) => h('tr', null, columns.map((c) => h('td', {class: c.kind, 'data-label': c.label ?? c.name}, c.of(r))))));
}

// badge shows a word in a colour that says how good it is.
export function badge(word, mood) {
  return h('span', {class: 'badge ' + (mood ?? moodOf(word))}, word);
}

const moods = {
  delivered: 'good', released: 'good', reachable: 'good', open: 'good', accepted: 'accent', active: 'accent', due: 'accent',
  deferred: 'warn', paused: 'warn', held: 'warn', hold: 'warn', 'notice dropped': 'warn', discarded: 'warn', lost: 'warn', refused: 'warn',
  bounced: 'bad', expired: 'bad', deleted: 'bad', blocked: 'bad', closed: 'bad', damaged: 'bad', unreachable: 'bad', fault: 'bad',
};

// moodOf gives the class for a word of the API.
export function moodOf(word) { return moods[word] ?? ''; }
