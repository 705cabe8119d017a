/** The page of react.test.ts: it is rendered on the server, taken over in the browser, and tells what it shows. */

import { createElement as h, memo, type ReactElement, useState } from 'react';
import type { InitialData } from '../src/query.js';
import { useLiveEvents } from '../src/react.js';

export interface Item {
  id: number;
  txt: string;
}

/** How often each row has been rendered, by its key. */
const renders = new Map<number, number>();

const Row = memo(({ item }: { item: Item }): ReactElement => {
  renders.set(item.id, (renders.get(item.id) ?? 0) + 1);
  return h('li', null, `${item.id} ${item.txt}`);
});

function List({ kind, initial }: { kind: number; initial: InitialData<Item> | undefined }): ReactElement {
  const { rows, state, error } = useLiveEvents<Item>(`/events?kind=${kind}`, { initial });
  return h(
    'section',
    null,
    h('h1', { id: 'state' }, error === undefined ? state : `${state}, ${error.code ?? 'lost'}`),
    h('ul', null, ...rows.map((item) => h(Row, { key: item.id, item }))),
  );
}

export function Page({ initial }: { initial: InitialData<Item> }): ReactElement {
  const [kind, setKind] = useState(1);
  return h(
    'main',
    null,
    kind === 0 ? h('p', null, 'nothing') : h(List, { kind, key: `list${kind}`, initial: kind === 1 ? initial : undefined }),
    ...[0, 1, 2, 3].map((other) => h('button', { key: other, id: `kind${other}`, onClick: () => setKind(other) }, other)),
  );
}

/** What can be seen, in one line. */
export function look(document: Document): string {
  const state = document.querySelector('#state')?.textContent ?? document.querySelector('p')?.textContent;
  const items = [...document.querySelectorAll('li')].map((item) => item.textContent);
  return `${state}: ${items.join(', ')}`;
}

export function rendersText(): string {
  return [...renders].map(([id, count]) => `${id} ${count}`).join(', ');
}
