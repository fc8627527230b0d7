package socketio

// The parsers' parts that fuzzing holds against encoding/json.
var (
	CheckPlaceholders = checkPlaceholders
	SplitArray        = splitArray
)
