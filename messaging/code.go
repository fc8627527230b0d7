package messaging

import (
	"maps"
	"slices"
)

// Code is the stable name of a refusal, on which clients branch. Its text is for
// people, and is fixed as well because older clients compare it.
type Code string

// The codes that clients receive.
const (
	CodeOriginNotAllowed          Code = "ORIGIN_NOT_ALLOWED"
	CodeMaxConnectionsExceeded    Code = "MAX_CONNECTIONS_EXCEEDED"
	CodeOriginConnectionsExceeded Code = "ORIGIN_CONNECTIONS_EXCEEDED"
	CodeSubscriptionLimitReached  Code = "SUBSCRIPTION_LIMIT_REACHED"
	CodeIdleTimeout               Code = "IDLE_TIMEOUT"
	// CodeJobIDRequired: jobId is missing, empty or not a string.
	CodeJobIDRequired Code = "JOB_ID_REQUIRED"
	// CodeJobIDInvalid: jobId is longer than 256 bytes or has control characters.
	CodeJobIDInvalid Code = "JOB_ID_INVALID"
	// CodeSinceInvalid: since is neither a sequence nor absent.
	CodeSinceInvalid Code = "SINCE_INVALID"
	// CodeAddressConnectionsExceeded: one network address, or one IPv6 /64, has as
	// many connections as it may have.
	CodeAddressConnectionsExceeded Code = "ADDRESS_CONNECTIONS_EXCEEDED"
	// CodeSubjectConnectionsExceeded: one token subject has as many connections as
	// it may have.
	CodeSubjectConnectionsExceeded Code = "SUBJECT_CONNECTIONS_EXCEEDED"
	// CodeConnectionRateExceeded: connections are being opened too fast.
	CodeConnectionRateExceeded Code = "CONNECTION_RATE_EXCEEDED"
	// CodeMaxRequestsExceeded: the gateway answers as many requests as it may at once,
	// or their answers take all the memory that they may.
	CodeMaxRequestsExceeded Code = "MAX_REQUESTS_EXCEEDED"
	// CodeClientRequestsExceeded: the gateway answers as many requests of this client
	// as it may at once.
	CodeClientRequestsExceeded Code = "CLIENT_REQUESTS_EXCEEDED"
	// CodeRequestRateExceeded: a client sends requests too fast.
	CodeRequestRateExceeded Code = "REQUEST_RATE_EXCEEDED"
	// CodeMessageRateExceeded: a connection sends too fast.
	CodeMessageRateExceeded Code = "MESSAGE_RATE_EXCEEDED"
	// CodeSubscriptionRateExceeded: a connection subscribes and unsubscribes too
	// often.
	CodeSubscriptionRateExceeded Code = "SUBSCRIPTION_RATE_EXCEEDED"
	// CodeMessageTooLarge: a message of a client is larger than allowed.
	CodeMessageTooLarge Code = "MESSAGE_TOO_LARGE"
	// CodeTokenRequired: the request came without a token and needs one.
	CodeTokenRequired Code = "TOKEN_REQUIRED"
	// CodeTokenInvalid: the token cannot be verified, or is for another service.
	CodeTokenInvalid Code = "TOKEN_INVALID"
	// CodeTokenExpired: the token was valid, and has expired.
	CodeTokenExpired Code = "TOKEN_EXPIRED"
	// CodeTokenExpiring: the connection ends soon unless it gets a new token.
	CodeTokenExpiring Code = "TOKEN_EXPIRING"
	// CodeJobForbidden: the token is valid, but does not allow this job.
	CodeJobForbidden Code = "JOB_FORBIDDEN"
	// CodeScopeRequired: the token is valid, but lacks the scope of this request.
	CodeScopeRequired Code = "SCOPE_REQUIRED"
	// CodeUnknownEvent: a client sent an event that is not in the contract, and asked
	// for an acknowledgement.
	CodeUnknownEvent Code = "UNKNOWN_EVENT"
	// CodeInternal: the service failed, and the client did nothing wrong.
	CodeInternal Code = "INTERNAL"
)

var codeMessages = map[Code]string{
	CodeOriginNotAllowed:           "Origin not allowed",
	CodeMaxConnectionsExceeded:     "Too many realtime connections. Please retry shortly.",
	CodeOriginConnectionsExceeded:  "Too many connections from this origin. Please retry later.",
	CodeSubscriptionLimitReached:   "Subscription limit reached for this connection.",
	CodeIdleTimeout:                "Disconnected due to inactivity.",
	CodeJobIDRequired:              "jobId is required to subscribe.",
	CodeJobIDInvalid:               "jobId must be at most 256 bytes without control characters.",
	CodeSinceInvalid:               "since must be a sequence: a whole number, 0 or more.",
	CodeAddressConnectionsExceeded: "Too many connections from this address. Please retry later.",
	CodeSubjectConnectionsExceeded: "Too many connections with this identity. Please retry later.",
	CodeConnectionRateExceeded:     "Too many new connections. Please retry shortly.",
	CodeMaxRequestsExceeded:        "Too many requests at once. Please retry shortly.",
	CodeClientRequestsExceeded:     "Too many requests at once from this client. Please retry shortly.",
	CodeRequestRateExceeded:        "Too many requests. Please retry shortly.",
	CodeMessageRateExceeded:        "Too many messages on this connection.",
	CodeSubscriptionRateExceeded:   "Too many subscribe and unsubscribe requests on this connection.",
	CodeMessageTooLarge:            "The message is too large.",
	CodeTokenRequired:              "A token is required.",
	CodeTokenInvalid:               "The token is not valid.",
	CodeTokenExpired:               "The token has expired.",
	CodeTokenExpiring:              "The token expires soon.",
	CodeJobForbidden:               "The token does not allow this job.",
	CodeScopeRequired:              "The token lacks the scope for this request.",
	CodeUnknownEvent:               "The event is not known.",
	CodeInternal:                   "Internal error.",
}

// Codes returns every code, in alphabetical order.
func Codes() []Code { return slices.Sorted(maps.Keys(codeMessages)) }

// Message returns the fixed text of the code. [CodeJobIDRequired] has another text
// for an unsubscribe, [MessageJobIDRequiredToUnsubscribe].
func (c Code) Message() string { return codeMessages[c] }

// MessageJobIDRequiredToUnsubscribe is the text of [CodeJobIDRequired] when the
// request was an unsubscribe.
const MessageJobIDRequiredToUnsubscribe = "jobId is required to unsubscribe."

// Problem describes a refusal to the client: it is the payload of novel.error and
// of a failed acknowledgement and, as {message, data}, of a CONNECT_ERROR. Numbers
// that do not apply are left out.
type Problem struct {
	Message string `json:"message"`
	Code    Code   `json:"code"`
	JobID   string `json:"jobId,omitempty"`
	// Limit and Current count what the code is about, such as connections or bytes.
	Limit   *int `json:"limit,omitempty"`
	Current *int `json:"current,omitempty"`
	// RetryAfterMs is how long the client should wait before it retries, in
	// milliseconds, jittered.
	RetryAfterMs *int `json:"retryAfterMs,omitempty"`
}

// NewProblem returns the problem with the code's fixed text and no numbers.
func NewProblem(code Code) Problem { return Problem{Message: code.Message(), Code: code} }
