// Checks an AsyncAPI document with the parser of the AsyncAPI initiative: prints each error
// on a line, and exits with 1 if there is one.
import { DiagnosticSeverity, Parser, fromFile } from '@asyncapi/parser'

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse()
const errors = diagnostics.filter(({ severity }) => severity === DiagnosticSeverity.Error)
for (const { path, message } of errors) console.log(`${path.join('.')}: ${message}`)
if (!document || errors.length > 0) process.exit(1)
