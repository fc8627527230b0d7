package publisher

import "io"

// ParseJournal returns the ids of the events that wait.
func ParseJournal(input io.Reader) ([]string, error) {
	left, err := parseJournal(input)
	var ids []string
	for _, record := range left {
		ids = append(ids, record.ID)
	}
	return ids, err
}
