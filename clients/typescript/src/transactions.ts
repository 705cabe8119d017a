/** Whether a snapshot, in the text form of pg_snapshot, sees a transaction as having ended. */
export function sees(snapshot: string, xid: bigint): boolean {
  const [xmin, xmax, running] = snapshot.split(':');
  if (xmin === undefined || xmax === undefined) return false;
  if (xid < BigInt(xmin)) return true;
  if (xid >= BigInt(xmax)) return false;
  return !(running ?? '').split(',').includes(xid.toString());
}
