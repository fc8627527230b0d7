// Package devpage has the pages that the development stack serves.
//
// [Handler] is one HTML file without a library or a build step: it shows one job live with
// the browser's EventSource, and explains how to publish to the job and how to connect a
// socket.io-client. [Built] serves the job page of web/demo if it has been built. Neither
// runs code on the server.
package devpage
