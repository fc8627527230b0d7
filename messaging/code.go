package messaging

// Code is the stable name of a refusal. Clients branch on it; the text beside
// it is for people and is fixed too, because older clients compare it.
type Code string

// The codes a client can meet.
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
	// CodeInternal stands for every failure that is not the client's.
	CodeInternal Code = "INTERNAL"
)

var codeMessages = map[Code]string{
	CodeOriginNotAllowed:          "Origin not allowed",
	CodeMaxConnectionsExceeded:    "Too many realtime connections. Please retry shortly.",
	CodeOriginConnectionsExceeded: "Too many connections from this origin. Please retry later.",
	CodeSubscriptionLimitReached:  "Subscription limit reached for this connection.",
	CodeIdleTimeout:               "Disconnected due to inactivity.",
	CodeJobIDRequired:             "jobId is required to subscribe.",
	CodeJobIDInvalid:              "jobId must be at most 256 bytes without control characters.",
	CodeSinceInvalid:              "since must be a sequence: a whole number, 0 or more.",
	CodeInternal:                  "Internal error.",
}

// Message returns the fixed text of the code. [CodeJobIDRequired] has a second
// one, [MessageJobIDRequiredToUnsubscribe].
func (c Code) Message() string { return codeMessages[c] }

// MessageJobIDRequiredToUnsubscribe is the text of [CodeJobIDRequired] when the
// request was an unsubscribe.
const MessageJobIDRequiredToUnsubscribe = "jobId is required to unsubscribe."

// Problem is what a client is told when it is refused: the payload of
// novel.error, of a failed acknowledgement and, as {message, data}, of a
// CONNECT_ERROR. Figures that do not apply are left out.
type Problem struct {
	Message string `json:"message"`
	Code    Code   `json:"code"`
	JobID   string `json:"jobId,omitempty"`
	// Limit and Current are counts of what the code speaks of.
	Limit   *int `json:"limit,omitempty"`
	Current *int `json:"current,omitempty"`
	// RetryAfterMs is when a retry makes sense, in milliseconds, jittered.
	RetryAfterMs *int `json:"retryAfterMs,omitempty"`
}

// NewProblem returns the problem with the code's fixed text and no figures.
func NewProblem(code Code) Problem { return Problem{Message: code.Message(), Code: code} }
