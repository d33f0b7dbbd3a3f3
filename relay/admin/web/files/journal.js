// What operators have changed.
import {h, replace, table} from './dom.js';
import {get} from './api.js';
import {moment, count} from './format.js';

export function journal({page, again, signal}) {
  const at = h('section', {class: 'panel'});
  replace(page, h('h1', null, 'Journal'), at);
  again(async () => {
    const all = await get('/v1/journal', signal);
    replace(at, table('Changes', [
      {name: 'When', kind: 'tight', of: (e) => moment(e.at)}, {name: 'Who', of: (e) => e.author}, {name: 'What', of: (e) => e.action},
      {name: 'Of what', kind: 'wide breaks', of: (e) => e.destination ?? (e.changed ? count(e.changed) + ' deliveries' : '')}, {name: 'Why', kind: 'wide', of: (e) => e.reason},
    ], all.reverse(), 'Nobody has changed anything.'));
  }, 10000);
}
