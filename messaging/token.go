package messaging

import (
	"errors"
	"fmt"
)

// ErrInvalidToken is returned by [ParseToken] for text that [Token] never
// returns. A retry does not help.
var ErrInvalidToken = errors.New("invalid subject token")

const upperHex = "0123456789ABCDEF"

// Token encodes a jobId as one token of a NATS subject, so that no jobId matches the
// subject of another one: each byte outside [A-Za-z0-9_-] becomes "=" and its value
// in two upper-case hexadecimal digits.
//
//	chapter-7   → chapter-7
//	a.*.>       → a=2E=2A=2E=3E
//	=           → =3D
//
// "=" is allowed in NATS subjects and in the keys of key-value buckets, and has no
// special meaning in them. A token is at most three times as long as the jobId. The
// token of the empty jobId, which [ValidateJobID] refuses, is empty, and not allowed
// in a subject.
func Token(jobID string) string {
	escapes := 0
	for i := range len(jobID) {
		if !isTokenByte(jobID[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return jobID
	}
	token := make([]byte, 0, len(jobID)+2*escapes)
	for i := range len(jobID) {
		if c := jobID[i]; isTokenByte(c) {
			token = append(token, c)
		} else {
			token = append(token, '=', upperHex[c>>4], upperHex[c&0xF])
		}
	}
	return string(token)
}

// ParseToken is the inverse of [Token]: ParseToken(Token(x)) is x for every x that is
// not empty. It returns [ErrInvalidToken] for text that Token never returns, such as
// "=41" for an A, so that no job has two subjects.
func ParseToken(token string) (string, error) {
	if token == "" {
		return "", fmt.Errorf("%w: it is empty", ErrInvalidToken)
	}
	jobID := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if isTokenByte(c) {
			jobID = append(jobID, c)
			continue
		}
		if c != '=' || i+2 >= len(token) {
			return "", fmt.Errorf("%w %.64q: byte %d", ErrInvalidToken, token, i)
		}
		high, low := upperHexValue(token[i+1]), upperHexValue(token[i+2])
		if high < 0 || low < 0 || isTokenByte(byte(high<<4|low)) {
			return "", fmt.Errorf("%w %.64q: escape at byte %d", ErrInvalidToken, token, i)
		}
		jobID = append(jobID, byte(high<<4|low))
		i += 2
	}
	return string(jobID), nil
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '_' || c == '-'
}

// upperHexValue returns the value of an upper-case hexadecimal digit, or -1.
func upperHexValue(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
