"""rosbag2 recordings without ROS: reading, writing, and folders of pairs turned into bags."""
