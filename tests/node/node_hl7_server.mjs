// node-hl7-server as an MLLP receiver. It never empties the buffer of a connection: a second message on it is handed
// over behind the first, whose answer is given once more. What arrived is therefore read from the end of the buffer.
import { arrived, wanted } from './ledger.mjs';
import { Server } from 'node-hl7-server';

let answers = true;
const inbound = new Server({ bindAddress: '127.0.0.1' }).createInbound({ port: wanted }, async (request, response) => {
  if (answers) {
    await response.sendResponse('AA');
  }
});
inbound.on('data.raw', (text) => {
  const newest = text.slice(text.lastIndexOf('MSH|')).split('\r')[0];
  answers = arrived(newest.split('|')[9]);
});
inbound.on('data.error', (error) => process.stderr.write(`${error}\n`));
