/** Where the tests are: compiled, in build/test. */

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const conformance = join(packageRoot, '../conformance');
