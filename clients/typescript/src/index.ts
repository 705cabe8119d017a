export type { ConnectionOptions, LiveChange, LiveOptions, Signalled, Target } from './live.js';
export { connect, LiveConnection, LiveQuery, live, once } from './live.js';
export { LiveError } from './error.js';
export type { Json } from './json.js';
export type { Column, RowObject } from './order.js';
export type { Param } from './params.js';
export type { InitialData, State } from './query.js';
export type { Difference } from './rows.js';
