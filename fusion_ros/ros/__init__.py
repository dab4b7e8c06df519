"""Everything that imports rclpy: nodes, message conversion, QoS, parameters, diagnostics."""
