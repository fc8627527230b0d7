package archive

// Hold reaches what a restore keeps gateways from re-creating the event stream with.
var Hold = (*Archive).hold
