package address

import "regexp"

var login = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"]*@`)

// WithoutLogins returns a text in which whatever stands between a scheme and an @ is
// masked. It is for texts that hold no address by their meaning, and may hold one by
// mistake.
func WithoutLogins(text string) string { return login.ReplaceAllString(text, "${1}"+masked+"@") }

// Mask returns an error whose text is that of err [WithoutLogins].
func Mask(err error) error {
	if err == nil || !login.MatchString(err.Error()) {
		return err
	}
	return maskedError{err}
}

type maskedError struct{ err error }

func (m maskedError) Error() string { return WithoutLogins(m.err.Error()) }
func (m maskedError) Unwrap() error { return m.err }
