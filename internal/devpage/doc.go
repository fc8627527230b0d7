// Package devpage is the pages that the development stack serves.
//
// [Handler] is one HTML file without a library or a build step: it shows one job
// live with nothing but the browser's own EventSource, and says how to publish to
// it and how to connect a socket.io-client. [Built] serves the job page of
// web/demo where that has been built. Nothing runs in either on the server.
package devpage
