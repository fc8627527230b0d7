// Package address shows the addresses of backends without the secrets in them.
//
// An address is shown as far as it was understood: a scheme that is known, hosts
// with ports, a path, the names of options. Users, passwords, tokens and the values
// of options are replaced. An address that has any part that was not understood is
// not shown at all, because that part may belong to a password whose special
// characters were not percent-encoded.
package address
