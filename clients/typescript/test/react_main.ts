/** In the browser: takes the page over, and tells the test what is to be seen; does what the test wants. */

import { createElement } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { look, Page, rendersText } from './react_page.js';

let count = 0;

/** With a number, since requests may overtake each other. */
function tell(what: string, text: string): void {
  navigator.sendBeacon(`/${what}?${count++}`, text);
}

addEventListener('error', ({ message }) => tell('error', message));
const initial = JSON.parse((document.querySelector('#initial') as HTMLElement).textContent as string);
const root = document.querySelector('#root') as HTMLElement;
tell('seen', look(document));
hydrateRoot(root, createElement(Page, { initial }), { onRecoverableError: (error) => tell('error', String(error)) });

let last = '';
new MutationObserver(() => {
  const seen = look(document);
  if (seen !== last) tell('seen', seen);
  last = seen;
}).observe(root, { childList: true, subtree: true, characterData: true });

new EventSource('/wishes').onmessage = ({ data }) => {
  if (data === 'renders') tell('renders', rendersText());
  else (document.querySelector(`#${data}`) as HTMLElement).click();
};
