package watch

import "github.com/hsmgate/hsmgate/gateway/audit"

// The rule decrypt-failures: Count (10) ciphertexts in a row that a principal gave to a key, or to no key that it
// named, did not decrypt: they were not made by the key, for that context, or were changed. A row ends with a ciphertext that decrypts, and
// after Within (1h) without a failure.
//
// It is robust since honest clients decrypt what was encrypted for them: a wrong context or a file that is damaged fails now and
// then between others that do not. Somebody who guesses, or asks a key as an oracle, fails all the time. It learns
// nothing, so it speaks from the first day.
func (d *Detector) decrypt(r *audit.Record, who string) {
	if r.Operation != "Decrypt" && r.Operation != "ReEncrypt" || d.settings.Decrypt.Off {
		return
	}
	key := pairKey{who, r.KeyID}
	if r.SourceKeyARN != "" {
		key.Key = r.SourceKeyARN
	}
	switch {
	case r.Outcome == "allowed":
		d.failures.remove(key)
		return
	case r.ErrorCode != "InvalidCiphertextException" && r.ErrorCode != "IncorrectKeyException":
		return
	}
	f, at := d.failures.get(key), r.Time.Unix()
	if f == nil {
		f = new(failure)
		d.failures.put(key, f)
	}
	if at-f.Last > int64(d.settings.Decrypt.Within.Seconds()) {
		f.Count = 0
	}
	f.Count, f.Last = f.Count+1, at
	if f.Count%d.settings.Decrypt.Count == 0 {
		d.say(r, DecryptFailures, who+" "+key.Key, f.Count, "%d ciphertexts of %s in a row did not decrypt", f.Count, who)
	}
}

// failure are ciphertexts in a row that did not decrypt.
type failure struct {
	Count int
	Last  int64 // Unix seconds
}
