package maintain

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/letswriteabook/realtime/eventstore/internal/jet"
	"github.com/letswriteabook/realtime/eventstore/internal/layout"
	"github.com/letswriteabook/realtime/messaging"
)

// ErrSubject is returned by [Log.PublishTo] for a subject that cannot be published
// to, or that is the service's own. A retry does not help.
var ErrSubject = errors.New("invalid subject")

// jobPlaceholder stands, in a subject of [Log.PublishTo], for the token of the job.
const jobPlaceholder = "{job}"

// CheckSubject reports whether [Log.PublishTo] takes a subject: one without wildcards,
// and none of the service's and the server's own. Its first word is not a job's to
// choose: of a job called novel it would be the service's own.
func CheckSubject(subject string) error {
	if first, _, _ := strings.Cut(subject, "."); strings.Contains(first, jobPlaceholder) {
		return fmt.Errorf("%w %q: want %s after the first word only", ErrSubject, subject, jobPlaceholder)
	}
	subject = strings.ReplaceAll(subject, jobPlaceholder, "job")
	for _, token := range strings.Split(subject, ".") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '*' || r == '>' }) {
			return fmt.Errorf("%w %q: want words separated by dots, without spaces and wildcards", ErrSubject, subject)
		}
	}
	first, _, _ := strings.Cut(subject, ".")
	if first == "novel" || strings.HasPrefix(first, "$") || strings.HasPrefix(first, "_") {
		return fmt.Errorf("%w %q: those that begin with novel., $ or _ are the service's or the server's", ErrSubject, subject)
	}
	return nil
}

// PublishTo publishes a record on a subject outside of the log, once, without storing
// it: the layout is that of a stored record, and the header Novel-Job has the job's
// token. The word {job} in the subject becomes that token. The record needs a kind
// and a message id. [Log.Flush] reports whether the server has it.
func (l *Log) PublishTo(subject string, record messaging.Record) error {
	if err := CheckSubject(subject); err != nil {
		return err
	}
	return l.publish(subject, record)
}

// publish is [Log.PublishTo] for any subject.
func (l *Log) publish(subject string, record messaging.Record) error {
	token, err := layout.Token(record.JobID)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", subject, err)
	}
	msg := layout.Encode(strings.ReplaceAll(subject, jobPlaceholder, token), record)
	msg.Header.Set(layout.HeaderJob, token)
	if err := l.client.Conn.PublishMsg(msg); err != nil {
		return fmt.Errorf("publish to %s: %w", msg.Subject, jet.Unavailable(err))
	}
	return nil
}

// Flush returns once the server has everything that was published before.
func (l *Log) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.client.ReadTimeout)
	defer cancel()
	if err := l.client.Conn.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush: %w", jet.Unavailable(err))
	}
	return nil
}
