// Package admin is the HTTP API of the operators, below /internal/api/v1/: it reads the
// log, the dead letters, the read models and the clients of all gateways, and changes
// them. What takes longer than a request is started, and goes on as work of
// operations/work. What replaces or restores the whole log is a command of operations.
//
// One table has every route (routes.go). The OpenAPI document is made of it, so that a route
// that is not in the document does not exist.
//
// Each answer is bounded in rows, bytes and time. Each change needs the role operate, is
// refused to pages of other sites, and is noted in the audit trail before it is made and
// when it has ended; what cannot be noted is not done.
//
// The package starts no goroutine.
package admin
