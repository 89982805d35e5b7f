package gateway

import "github.com/hsmgate/hsmgate/gateway/audit/tree"

// LogTree is what publishes the checkpoints of the audit log, nil while there is none.
func (s *Service) LogTree() *tree.Publisher { return s.tree.Load().Publisher }
