// Package caller tells from an HTTP request who sent it, as far as that can be seen: the
// bearer of a token, a program on this machine, or a page of another site. The operators'
// pages, the operators' API and the way to publish over HTTP decide by it.
package caller
