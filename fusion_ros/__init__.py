"""Thermal and RGB image fusion for vehicles.

Importing this package does no work: neither torch nor rclpy is loaded until a part that needs it is.
"""

__version__ = "0.1.0"
