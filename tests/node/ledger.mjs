// What the MLLP receivers share: each control id is on disk before its message is answered; they listen on this
// machine alone, say so with their port, and end with their standard input. With DIE_AT a receiver kills itself as
// soon as so many control ids are on disk, before it answers the last one.
// Usage: node RECEIVER.mjs LEDGER PORT [DIE_AT]
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import net from 'node:net';

const [path, port, dieAt] = process.argv.slice(2);
const disk = openSync(path, 'a');
let count = 0;

export const wanted = Number(port);

// Returns whether to answer.
export function arrived(controlId) {
  writeSync(disk, `${controlId}\n`);
  fsyncSync(disk);
  count += 1;
  if (count === Number(dieAt)) {
    process.kill(process.pid, 'SIGKILL');
    return false; // the signal is on its way, the answer must not be
  }
  return true;
}

// Neither library lets its caller choose the address: they would listen on every interface.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {
  this.once('listening', () => process.stdout.write(`${this.address().port}\n`));
  const ready = given.filter((each) => typeof each === 'function');
  return listen.call(this, { port: wanted, host: '127.0.0.1' }, ...ready);
};

process.stdin.on('end', () => { closeSync(disk); process.exit(0); }).resume();
