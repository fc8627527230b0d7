// Package audit keeps the audit trail of the log, the stream NOVEL_AUDIT: what was erased,
// by whom and why, who changed the settings of the log, which gateways have reloaded their
// settings, and what was changed over the operators' API. Nothing is deleted from it.
//
//	stream NOVEL_AUDIT       novel.audit.erasure.<token of the job>, novel.audit.settings,
//	                         novel.audit.reload, novel.audit.admin
//	  republished to         novel.erased.<token of the job>, of erasures, without content
package audit
