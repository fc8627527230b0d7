// Package devpage is the page that the development stack serves: it shows one
// job live with nothing but the browser's own EventSource, and says how to
// publish to it and how to connect a socket.io-client.
//
// It is one HTML file without a library or a build step. Nothing runs in it on
// the server.
package devpage
