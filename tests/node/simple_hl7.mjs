// simple-hl7 as an MLLP receiver. It looks for the end of a frame only at the end of what came: of two frames in one
// write the second is lost. Its acknowledgement has version 2.3.
import { arrived, wanted } from './ledger.mjs';
import hl7 from 'simple-hl7';

const app = hl7.tcp();
app.use((request, response, _next) => {
  if (arrived(request.msg.header.getField(8).toString())) {
    response.end();
  }
});
app.use((error, _request, _response, _next) => process.stderr.write(`${error}\n`));
app.start(wanted);
